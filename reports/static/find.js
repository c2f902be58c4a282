// Typing narrows the projects that a page lists and leads to the page that has more. Without it, the letters do.
"use strict";
const box = document.getElementById("find");
const said = document.getElementById("found");
const entries = [...document.querySelectorAll("[data-name]")].filter(() => box.dataset.prefix !== "");
const pages = [...document.querySelectorAll(".initials a")];

const letters = text => [...text.toLowerCase()].map(each => (each >= "a" && each <= "z" ? each : "0")).join("");
const prefixOf = link => decodeURIComponent(link.pathname.split("/").pop()).replace(".html", "");

// The page with the longest beginning that fits what was typed; none when it is this one.
function pageOf(text) {
  const name = letters(text);
  const fits = pages.filter(each => name.startsWith(prefixOf(each)) && prefixOf(each) !== box.dataset.prefix);
  fits.sort((a, b) => prefixOf(b).length - prefixOf(a).length);
  return fits.length && prefixOf(fits[0]).length > (name.startsWith(box.dataset.prefix) ? box.dataset.prefix.length : 0)
    ? fits[0] : undefined;
}

function narrow() {
  const wanted = box.value.trim().toLowerCase();
  let shown = 0;
  for (const each of entries) {
    each.hidden = !each.dataset.name.includes(wanted);
    shown += each.hidden ? 0 : 1;
  }
  const page = wanted && shown === 0 ? pageOf(wanted) : undefined;
  if (!wanted) said.textContent = "";
  else if (page) said.textContent = "Enter leads to the page of projects that begin so.";
  else if (entries.length) said.textContent = `${shown} of ${entries.length} here`;
  else said.textContent = "No project begins so.";
  return page;
}

function go(page) {
  if (page) location.assign(page.href.split("#")[0] + "#find=" + encodeURIComponent(box.value.trim()));
}

box.addEventListener("input", narrow);
box.addEventListener("keydown", event => { if (event.key === "Enter") go(narrow()); });
box.closest(".find").hidden = false;
if (location.hash.startsWith("#find=")) {
  try { box.value = decodeURIComponent(location.hash.slice(6)); } catch { box.value = ""; }
  go(narrow());
}
