"use strict";
// Tables sort by the buttons in their headers: numbers as numbers, all else as text; a dash is last.
for (const table of document.querySelectorAll("table.sortable")) {
  const headers = [...table.tHead.rows[0].cells];
  const collator = new Intl.Collator(undefined, { numeric: true });
  const key = (row, column) => {
    const text = row.cells[column].textContent.trim();
    const number = /^[<+\-−]?\d/.test(text) ? parseFloat(text.replace("−", "-").replace("<", "")) : NaN;
    return { text, number };
  };
  headers.forEach((header, column) => {
    header.querySelector("button").addEventListener("click", () => {
      const descending = header.getAttribute("aria-sort") === "ascending";
      headers.forEach((other) => other.removeAttribute("aria-sort"));
      header.setAttribute("aria-sort", descending ? "descending" : "ascending");
      const body = table.tBodies[0];
      const isNumber = header.classList.contains("number");
      const rows = [...body.rows].map((row) => ({ row, ...key(row, column) }));
      rows.sort((a, b) => {
        if (isNumber) {
          if (Number.isNaN(a.number) || Number.isNaN(b.number)) {
            return Number.isNaN(a.number) - Number.isNaN(b.number);
          }
          return descending ? b.number - a.number : a.number - b.number;
        }
        return descending ? collator.compare(b.text, a.text) : collator.compare(a.text, b.text);
      });
      body.append(...rows.map(({ row }) => row));
    });
  });
}
for (const trace of document.querySelectorAll("script.trace")) {
  const { dimensions, colors } = JSON.parse(trace.textContent);
  const target = trace.parentElement.querySelector(".coordinates");
  const line = { color: colors, colorscale: "Viridis", showscale: true, colorbar: { thickness: 12 } };
  const layout = { margin: { l: 70, r: 40, t: 50, b: 30 }, font: { size: 11, color: "#1d232b" }, paper_bgcolor: "#ffffff" };
  Plotly.newPlot(target, [{ type: "parcoords", dimensions, line }], layout, { responsive: true, displaylogo: false });
}
