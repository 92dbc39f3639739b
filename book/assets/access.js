/* What the theme and the widgets leave out for readers who use a keyboard or a screen reader. */

/* Sliders and pictures of widgets get the words that stand beside them. */
function nameWidgets() {
    for (const box of document.querySelectorAll(".widget-vbox")) {
        const words = box.querySelector(".widget-html-content")?.textContent.trim();
        for (const picture of box.querySelectorAll("img.widget-image:not([alt])")) {
            picture.alt = words ?? "";
        }
    }
    for (const handle of document.querySelectorAll(".widget-slider .noUi-handle:not([aria-label])")) {
        const label = handle.closest(".widget-slider").querySelector(".widget-label");
        handle.setAttribute("aria-label", label?.textContent.trim() || "position");
    }
}

/* What scrolls sideways can be reached by keyboard. */
function reachWide() {
    for (const wide of document.querySelectorAll("article table.table, .widget-box")) {
        if (wide.scrollWidth > wide.clientWidth) wide.tabIndex = 0;
    }
}

/* Roles of the bibliography that are deprecated; its structure says enough. */
function plainReferences() {
    for (const part of document.querySelectorAll(".citation-list, .citation-list [role]")) {
        part.removeAttribute("role");
    }
}

document.addEventListener("DOMContentLoaded", () => {
    const look = () => {
        nameWidgets();
        reachWide();
    };
    plainReferences();
    look();
    window.addEventListener("resize", reachWide);
    document.addEventListener("load", reachWide, true); // pictures grow their boxes
    new MutationObserver(look).observe(document.body, { childList: true, subtree: true });
});
