/**
 * The look of every page. One accent colour, which means "the measured inferences" wherever it appears; numbers in
 * tabular figures; a dark and a light theme by the reader's own setting, and light on paper.
 */
export const pageStyle = `
:root {
  color-scheme: light dark;
  --paper: #ffffff; --ink: #14171a; --soft: #59616b; --hair: #e1e4e8; --wash: #f4f5f7;
  --band: #c3c9d1; --accent: #ad4318; --shade: rgb(173 67 24 / .11);
}
@media screen and (prefers-color-scheme: dark) {
  :root {
    --paper: #111316; --ink: #e9ebee; --soft: #9aa3ae; --hair: #292d33; --wash: #191c20;
    --band: #4a525d; --accent: #f39064; --shade: rgb(243 144 100 / .15);
  }
}
* { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; }
body {
  margin: 0; background: var(--paper); color: var(--ink);
  font: 15px/1.5 "Helvetica Neue", "Segoe UI", Roboto, "Liberation Sans", Arial, sans-serif;
  font-variant-numeric: tabular-nums lining-nums;
}
.mark { position: sticky; top: 0; z-index: 2; background: var(--ink); color: var(--paper); }
.mark p { max-width: 72rem; margin: 0 auto; padding: .45rem 2rem; }
main, header, footer { max-width: 72rem; margin: 0 auto; padding: 0 2rem; }
header { padding-top: 2.5rem; padding-bottom: 2rem; }
h1 { margin: 0; font-size: 2.1rem; line-height: 1.15; font-weight: 600; letter-spacing: -.02em; overflow-wrap: anywhere; }
h2, h3, .code { overflow-wrap: anywhere; }
h2 { margin: 0; font-size: 1rem; line-height: 1.5; font-weight: 600; }
h3 { margin: 2rem 0 .5rem; font-size: 1rem; font-weight: 600; }
p { margin: 0 0 .75rem; max-width: 44rem; }
a { color: inherit; }
.lead { margin: .6rem 0 0; color: var(--soft); overflow-wrap: anywhere; }
.soft, figcaption { color: var(--soft); }
.section {
  display: grid; grid-template-columns: 9.5rem minmax(0, 1fr); gap: 0 2.5rem;
  border-top: 1px solid var(--hair); padding: 1.75rem 0 2.25rem;
}
.section > div > :last-child { margin-bottom: 0; }
.figures {
  display: grid; grid-template-columns: minmax(0, 1.9fr); grid-auto-flow: column; grid-auto-columns: minmax(0, 1fr);
  gap: 1.5rem 2rem; margin: 2.75rem 0 1rem; align-items: end;
}
.figures > div { min-width: 0; }
.figures dt { color: var(--soft); }
.figures dd { margin: 0; }
.figures .value { font-size: 1.75rem; line-height: 1.2; font-weight: 500; letter-spacing: -.015em; white-space: nowrap; }
.figures > :first-child .value { font-size: 3.6rem; line-height: 1.1; color: var(--accent); letter-spacing: -.035em; }
.figures .unit { font-size: .6em; font-weight: 400; letter-spacing: 0; color: var(--soft); }
.figures > :first-child .unit { font-size: .42em; }
.figures .doubt { color: var(--soft); font-size: .9rem; }
.refusal { margin: 2.5rem 0 1rem; border-left: 6px solid var(--ink); padding: .25rem 0 .25rem 1.5rem; }
.refusal strong { display: block; font-size: 1.75rem; line-height: 1.2; font-weight: 600; letter-spacing: -.015em; margin-bottom: .5rem; }
.refusal p { font-size: 1.1rem; overflow-wrap: anywhere; }
figure { margin: 0 0 1.75rem; }
figcaption { margin-top: .5rem; font-size: .9rem; max-width: 44rem; }
.plot { width: 100%; min-height: 6rem; }
.plot svg { display: block; max-width: 100%; height: auto; overflow: visible; }
.pair { display: grid; grid-template-columns: repeat(auto-fit, minmax(19rem, 1fr)); gap: 0 2rem; }
.scroll { overflow-x: auto; margin-bottom: 1rem; }
.scroll:focus-visible { outline: 2px solid var(--accent); outline-offset: 2px; }
table { border-collapse: collapse; width: 100%; font-size: .92rem; }
caption { text-align: left; color: var(--soft); padding-bottom: .5rem; }
caption span { position: sticky; left: 0; display: block; width: max-content; max-width: min(44rem, calc(100vw - 2.2rem)); }
th, td { padding: .32rem 1.25rem .32rem 0; text-align: left; vertical-align: top; border-bottom: 1px solid var(--hair); }
th:last-child, td:last-child { padding-right: 0; }
thead th { color: var(--soft); font-weight: 400; vertical-align: bottom; border-bottom-color: var(--soft); }
thead .unit { display: block; }
tbody th { font-weight: 400; color: var(--soft); }
tfoot th { font-weight: 400; }
tfoot tr > * { background: var(--wash); }
.number { text-align: right; white-space: nowrap; }
.facts th { width: 15rem; }
.facts td { overflow-wrap: anywhere; }
.tag { display: inline-block; min-width: 4.6em; padding: 0 .5em; border: 1px solid var(--soft); border-radius: 2px; text-align: center; font-size: .85rem; white-space: nowrap; }
.tag.bad { background: var(--ink); border-color: var(--ink); color: var(--paper); font-weight: 600; }
.tag.open { border-style: dashed; }
.code { font-family: ui-monospace, "SF Mono", Menlo, Consolas, "Liberation Mono", monospace; font-size: .88em; }
ul.notes { margin: 0; padding: 0; list-style: none; }
ul.notes li { padding: .5rem 0; border-bottom: 1px solid var(--hair); overflow-wrap: anywhere; }
ul.notes .code { margin-right: .75rem; }
details { margin: 1rem 0; }
summary { cursor: pointer; color: var(--soft); }
footer { padding-bottom: 3rem; color: var(--soft); font-size: .9rem; }
footer p { max-width: none; border-top: 1px solid var(--hair); padding-top: 1rem; }
@media (max-width: 52rem) {
  main, header, footer, .mark p { padding-left: 1.1rem; padding-right: 1.1rem; }
  header { padding-top: 1.75rem; }
  h1 { font-size: 1.6rem; }
  .section { display: block; padding: 1.25rem 0 1.75rem; }
  .section > h2 { margin-bottom: .75rem; }
  .figures { grid-template-columns: repeat(auto-fill, minmax(8.5rem, 1fr)); grid-auto-flow: row; margin: 1.75rem 0 0; gap: 1.25rem 1.5rem; }
  .figures > :first-child { grid-column: 1 / -1; }
  .figures > :first-child .value { font-size: 2.9rem; }
  .facts th { width: 38%; }
}
@media print {
  body { font-size: 10pt; }
  main, header, footer, .mark p { max-width: none; padding-left: 0; padding-right: 0; }
  .mark { position: static; background: none; color: var(--ink); border: 2px solid var(--ink); }
  .mark p { padding: .3rem .6rem; }
  .scroll { overflow: visible; }
  details::details-content { content-visibility: visible; height: auto; }
  figure, tr, li { break-inside: avoid; }
  h2, h3 { break-after: avoid; }
}
`;
