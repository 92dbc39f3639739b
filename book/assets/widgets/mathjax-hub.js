// The widget manager typesets labels through MathJax 2's queue, which MathJax 3 no longer has.
document.addEventListener("DOMContentLoaded", () => {
  window.MathJax = window.MathJax || {};
  window.MathJax.Hub = window.MathJax.Hub || { Queue: () => {} };
});
