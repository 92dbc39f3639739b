/* What the theme and the widgets leave out for readers who use a keyboard or a screen reader. */

/* Sliders say what their position stands for; pictures of widgets get the words beside them, and
   the position that they are of. */
function nameWidgets() {
    for (const slider of document.querySelectorAll(".widget-slider")) {
        const handle = slider.querySelector(".noUi-handle");
        const label = slider.querySelector(".widget-label")?.textContent.trim() || "position";
        const readout = slider.querySelector(".widget-readout")?.textContent.trim();
        if (!handle) continue;
        setChanged(handle, "aria-label", label);
        if (readout) setChanged(handle, "aria-valuetext", readout);
    }
    for (const box of document.querySelectorAll(".widget-vbox")) {
        const words = box.querySelector(".widget-html-content")?.textContent.trim() ?? "";
        const positions = [...box.querySelectorAll(".widget-slider")]
            .filter((slider) => slider.offsetParent)
            .map((slider) => slider.querySelector(".noUi-handle"))
            .filter((handle) => handle?.hasAttribute("aria-valuetext"))
            .map((h) => `${h.getAttribute("aria-label")} ${h.getAttribute("aria-valuetext")}`);
        for (const picture of box.querySelectorAll("img.widget-image")) {
            if (picture.closest(".widget-vbox") !== box) continue; // of a box within
            setChanged(picture, "alt", [words, ...positions].filter(Boolean).join("; "));
        }
    }
}

/* Sets an attribute only where it differs, so that watching for changes comes to an end. */
function setChanged(element, name, value) {
    if (element.getAttribute(name) !== value) element.setAttribute(name, value);
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
    new MutationObserver(look).observe(document.body, {
        attributeFilter: ["aria-valuenow", "aria-valuetext"], // a slider has moved
        characterData: true,
        childList: true,
        subtree: true,
    });
});
