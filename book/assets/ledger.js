/* Filters and sorts the claims ledger. Without this script the page shows all claims. */

function option(text) {
    const made = document.createElement("option");
    made.textContent = text;
    return made;
}

function chooser(name, choices) {
    const field = document.createElement("span");
    const label = document.createElement("label");
    const select = document.createElement("select");
    select.id = label.htmlFor = `ledger-${name}`;
    label.textContent = name;
    select.append(...choices.map(option));
    field.append(label, " ", select);
    return { field, select };
}

function readLedger() {
    return [...document.querySelectorAll("table.ledger")].map((table) => ({
        section: table.closest("section"),
        source: table.closest("section").querySelector("h2").firstChild.textContent.trim(),
        body: table.tBodies[0],
        rows: [...table.tBodies[0].rows].map((row, place) => ({
            row,
            place,
            // the last column is this run's, where it measured the claim
            verdict: [...row.querySelectorAll(".sd-badge")].at(-1).textContent.trim(),
        })),
    }));
}

function addControls(ledger) {
    const verdicts = ["reproduced", "partly", "not reproduced", "inconclusive", "not run"];
    const source = chooser("source", ["all", ...ledger.map((part) => part.source)]);
    const verdict = chooser("verdict", ["all", ...verdicts]);
    const order = chooser("order", ["number", "verdict"]);
    const count = document.createElement("output");
    const controls = document.createElement("form");
    controls.className = "ledger-controls";
    controls.append(source.field, verdict.field, order.field, count);
    ledger[0].section.before(controls);

    function update() {
        let shown = 0;
        for (const part of ledger) {
            const isChosen = ["all", part.source].includes(source.select.value);
            let here = 0;
            for (const claim of part.rows) {
                const fits = isChosen && ["all", claim.verdict].includes(verdict.select.value);
                claim.row.hidden = !fits;
                here += fits;
            }
            part.section.hidden = here === 0;
            shown += here;
            const rank = (claim) =>
                order.select.value === "number" ? 0 : verdicts.indexOf(claim.verdict);
            const sorted = [...part.rows].sort((a, b) => rank(a) - rank(b) || a.place - b.place);
            part.body.append(...sorted.map((claim) => claim.row));
        }
        count.textContent = `${shown} claims`;
    }

    function showTarget() {
        const target = document.getElementById(location.hash.slice(1));
        if (target?.closest("[hidden]")) {
            source.select.value = verdict.select.value = "all";
            update();
            target.scrollIntoView();
        }
    }

    controls.addEventListener("change", update);
    addEventListener("hashchange", showTarget);
    update();
}

addEventListener("DOMContentLoaded", () => {
    const ledger = readLedger();
    if (ledger.length) addControls(ledger);
});
