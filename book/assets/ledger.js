/* Filters and sorts the claims ledger. Without this script the page shows all claims.
   The choice is in the address (?source=...&verdict=...&order=...), so that other pages link to it. */

const VERDICTS = ["reproduced", "partly", "not reproduced", "inconclusive", "not run"];

function chooser(name, choices) {
    const field = document.createElement("span");
    const label = document.createElement("label");
    const select = document.createElement("select");
    select.id = label.htmlFor = `ledger-${name}`;
    label.textContent = name;
    select.append(...choices.map((choice) => new Option(choice)));
    field.append(label, " ", select);
    return { field, select };
}

function readLedger() {
    return [...document.querySelectorAll("table.ledger")].map((table) => ({
        section: table.closest("section"),
        source: table.closest("section").querySelector("h2").firstChild.textContent.trim(),
        body: table.tBodies[0],
        rows: [...table.tBodies[0].rows].map((row) => ({
            row,
            // the last column is this run's, where it measured the claim
            verdict: [...row.querySelectorAll(".sd-badge")].at(-1).textContent.trim(),
        })),
    }));
}

/* A table like the others for the claims of all sources together. */
function sectionForAll(ledger) {
    const section = document.createElement("section");
    const heading = document.createElement("h2");
    const table = ledger[0].body.parentElement.cloneNode(false);
    heading.textContent = "By verdict";
    table.append(ledger[0].body.parentElement.tHead.cloneNode(true), document.createElement("tbody"));
    section.append(heading, table);
    ledger[0].section.before(section);
    return { section, body: table.tBodies[0] };
}

function addControls(ledger) {
    const choosers = {
        source: chooser("source", ["all", ...ledger.map((part) => part.source)]),
        verdict: chooser("verdict", ["all", ...VERDICTS]),
        order: chooser("order", ["number", "verdict"]),
    };
    const chosen = (name) => choosers[name].select.value;
    const count = document.createElement("output");
    const controls = document.createElement("form");
    controls.className = "ledger-controls";
    controls.append(...Object.values(choosers).map((one) => one.field), count);
    ledger[0].section.before(controls);
    const all = sectionForAll(ledger);
    const claims = ledger.flatMap((part) => part.rows);

    function update() {
        const together = chosen("order") === "verdict";
        let shown = 0;
        for (const part of ledger) {
            const isChosen = ["all", part.source].includes(chosen("source"));
            let here = 0;
            for (const claim of part.rows) {
                const fits = isChosen && ["all", claim.verdict].includes(chosen("verdict"));
                claim.row.hidden = !fits;
                here += fits;
            }
            part.section.hidden = together || here === 0;
            part.body.append(...part.rows.map((claim) => claim.row));
            shown += here;
        }
        all.section.hidden = !together || shown === 0;
        if (together) {
            const rank = (claim) => VERDICTS.indexOf(claim.verdict);
            const sorted = [...claims].sort((a, b) => rank(a) - rank(b));
            all.body.append(...sorted.map((claim) => claim.row));
        }
        count.textContent = shown === 1 ? "1 claim" : `${shown} claims`;
        if (!shown) count.textContent = "no claim of this source has this verdict; choose all";
    }

    function readAddress() {
        for (const [name, value] of new URLSearchParams(location.search)) {
            const options = [...(choosers[name]?.select.options ?? [])];
            if (options.some((option) => option.value === value)) choosers[name].select.value = value;
        }
    }

    function writeAddress() {
        const query = new URLSearchParams();
        for (const [name, { select }] of Object.entries(choosers)) {
            if (select.selectedIndex > 0) query.set(name, select.value);
        }
        history.replaceState(null, "", `?${query}${location.hash}`);
    }

    function showTarget() {
        const target = document.getElementById(location.hash.slice(1));
        if (target?.closest("[hidden]")) {
            choosers.source.select.value = choosers.verdict.select.value = "all";
            update();
            target.scrollIntoView();
        }
    }

    controls.addEventListener("change", () => {
        update();
        writeAddress();
    });
    addEventListener("hashchange", showTarget);
    readAddress();
    update();
    showTarget();
}

addEventListener("DOMContentLoaded", () => {
    const ledger = readLedger();
    if (ledger.length) addControls(ledger);
});
