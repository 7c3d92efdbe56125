"use strict";
const gallery = document.getElementById("gallery");
const buttons = [...document.querySelectorAll("[data-sort]")];
const entries = [...gallery.children];
let sortKey = "cider", ascending = true;

// Images without a value come last in both directions.
function compare(first, second) {
  const [a, b] = [first.dataset[sortKey], second.dataset[sortKey]];
  if (a === undefined || b === undefined) return (a === undefined) - (b === undefined);
  const order = sortKey === "image" ? (a < b ? -1 : a > b ? 1 : 0) : a - b;
  return ascending ? order : -order;
}

for (const button of buttons) {
  button.addEventListener("click", () => {
    ascending = button.dataset.sort === sortKey ? !ascending : true;
    sortKey = button.dataset.sort;
    for (const other of buttons) other.setAttribute("aria-pressed", String(other === button));
    gallery.append(...entries.slice().sort(compare));
    const labels = sortKey === "image" ? ["from A to Z", "from Z to A"] : ["worst first", "best first"];
    document.getElementById("order").textContent = `${labels[ascending ? 0 : 1]}, by ${button.textContent}`;
  });
}
