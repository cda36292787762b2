// SPDX-License-Identifier: GPL-3.0-or-later
"use strict";
(() => {
  const table = document.querySelector("table.units");
  const body = table.tBodies[0];
  const rows = [...body.rows].map((row) => ({ row, text: row.textContent.toLowerCase() }));
  const find = document.querySelector(".find");
  const [input, count] = find.children;
  const number = new Intl.NumberFormat("en");
  find.hidden = false;

  const search = () => {
    const words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
    let shown = 0;
    for (const { row, text } of rows) {
      row.hidden = !words.every((word) => text.includes(word));
      shown += !row.hidden;
    }
    count.textContent = words.length
      ? `${number.format(shown)} of ${number.format(rows.length)} units`
      : `${number.format(rows.length)} units`;
  };
  input.addEventListener("input", search);

  const heads = [...table.tHead.rows[0].cells];
  const sort = (column) => {
    const head = heads[column];
    const down = head.getAttribute("aria-sort") === "ascending";
    for (const each of heads) each.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", down ? "descending" : "ascending");
    const text = ({ row }) => row.cells[column].textContent;
    const order = new Intl.Collator("en", { numeric: true }).compare;
    rows.sort((one, other) => (down ? order(text(other), text(one)) : order(text(one), text(other))));
    body.append(...rows.map(({ row }) => row));
  };
  heads.forEach((head, column) => {
    head.dataset.sortable = "";
    head.tabIndex = 0;
    head.addEventListener("click", () => sort(column));
    head.addEventListener("keydown", (event) => {
      if (event.key === "Enter" || event.key === " ") {
        event.preventDefault();
        sort(column);
      }
    });
  });
})();
