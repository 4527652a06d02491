"use strict";
// The parts of the page are replaced as the server sends them, already escaped. What was open stays open and what had the
// keyboard has it again, so that nobody who reads or types is interrupted.
const cut = () => document.getElementById("cut");

function replace(part, html) {
  const open = new Set(Array.from(part.querySelectorAll("details[open] > summary"), s => s.textContent));
  const focus = part.contains(document.activeElement) ? document.activeElement : null;
  const at = focus && (focus.id || focus.textContent);
  part.innerHTML = html;
  for (const s of part.querySelectorAll("details > summary")) s.parentNode.open = open.has(s.textContent);
  if (!at) return;
  for (const e of part.querySelectorAll("a, button, summary")) if (e.id === at || e.textContent === at) { e.focus(); return; }
  part.focus();
}

const news = new EventSource("/events");
news.onmessage = event => {
  const changed = JSON.parse(event.data);
  for (const name of Object.keys(changed)) {
    const part = document.getElementById(name);
    if (part && part.hasAttribute("data-part")) replace(part, changed[name]);
  }
  cut().hidden = true;
};
news.onerror = () => {
  cut().hidden = false;
  if (news.readyState === EventSource.CLOSED) location.reload(); // the session has ended, or the server is another one
};
