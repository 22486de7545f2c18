/** The whole style of the page: light and dark by the reader's choice, no fonts to fetch. */
export const STYLE = `
:root { color-scheme: light dark; --paper: #fbfbf9; --panel: #ffffff; --ink: #1c1e21; --soft: #585e66; --rule: #dcdcd6; --band: #f1f1ec;
  --source: #5d636b; --tentOnline: #b64a00; --patched: #0b62a4; --elastic: #7a3fa0; --good: #0a6b3d; --bad: #b3261e; --goodfill: #d9f2e3; --badfill: #fbe3e0; }
@media (prefers-color-scheme: dark) { :root { --paper: #14161a; --panel: #1c1f25; --ink: #eceae4; --soft: #a8adb5; --rule: #363b44;
  --band: #22262d; --source: #a9b0ba; --tentOnline: #ff9a4d; --patched: #6cb8ff; --elastic: #cfa0f2; --good: #79d9a2; --bad: #ff9d94; --goodfill: #17382a; --badfill: #47201d; } }
* { box-sizing: border-box }
body { margin: 0; background: var(--paper); color: var(--ink); font: 16px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", "DejaVu Sans", sans-serif; font-variant-numeric: tabular-nums }
main { max-width: 1160px; margin: 0 auto; padding: 40px 32px 64px }
h1 { font-size: 30px; line-height: 1.2; letter-spacing: -0.01em; margin: 0 0 8px } h2 { font-size: 20px; margin: 44px 0 4px }
p { margin: 0 0 12px; max-width: 76ch } .soft, figcaption, .note { color: var(--soft) } .note { font-size: 14px } .panel + .note { margin-top: 10px }
.cards { display: grid; grid-template-columns: repeat(auto-fit, minmax(210px, 1fr)); gap: 14px; margin: 26px 0 8px; padding: 0; list-style: none }
.cards li { background: var(--panel); border: 1px solid var(--rule); border-top: 4px solid var(--accent, var(--rule)); border-radius: 8px; padding: 14px 18px }
.cards b { display: block; font-size: 34px; line-height: 1.25; letter-spacing: -0.02em } .cards span { color: var(--soft); font-size: 14px }
.cards .source { --accent: var(--source) } .cards .tentOnline { --accent: var(--tentOnline) } .cards .patched { --accent: var(--patched) } .cards .elastic { --accent: var(--elastic) }
.panel { background: var(--panel); border: 1px solid var(--rule); border-radius: 8px; padding: 18px; margin: 12px 0 0; overflow-x: auto }
.legend { display: flex; flex-wrap: wrap; gap: 6px 26px; margin: 0 0 6px; padding: 0; list-style: none; font-size: 14px }
.legend svg { width: 34px; height: 16px; vertical-align: -3px; margin-right: 6px }
.chart { display: block; width: 100%; min-width: 760px; height: auto; font-size: 12.5px } .chart text { fill: var(--ink) }
.chart .band { fill: var(--band) } .chart .grid { stroke: var(--rule) } .chart .tick { text-anchor: end; fill: var(--soft) }
.chart .name { text-anchor: middle } .chart .again { fill: var(--soft); font-style: italic } .chart .value { text-anchor: middle; font-size: 11px; fill: var(--soft) }
.series polyline { fill: none; stroke-width: 2.4; stroke-linejoin: round } .series.source polyline { stroke-dasharray: 6 5 }
.series.source { stroke: var(--source); fill: var(--source) } .series.tentOnline { stroke: var(--tentOnline); fill: var(--tentOnline) } .series.patched { stroke: var(--patched); fill: var(--patched) } .series.elastic { stroke: var(--elastic); fill: var(--elastic) }
.series rect, .series circle, .series path { stroke: var(--panel); stroke-width: 1.5 } .bar.tentOnline { fill: var(--tentOnline) } .bar.patched { fill: var(--patched) }
image, img { image-rendering: pixelated }
table { border-collapse: collapse; width: 100%; font-size: 14.5px } caption { text-align: left; color: var(--soft); padding: 0 0 8px }
th, td { padding: 7px 10px; text-align: right; border-bottom: 1px solid var(--rule); white-space: nowrap } thead th { vertical-align: bottom; color: var(--soft); font-weight: 600; white-space: normal }
th:first-child, th:nth-child(2), td:first-child { text-align: left } tbody th { font-weight: 600 } tfoot td, tfoot th { border-bottom: 0; border-top: 2px solid var(--ink); font-weight: 700 }
tr.returning th small { font-weight: 400; font-style: italic; color: var(--soft) } .delta { font-size: 12.5px; display: inline-block; min-width: 3.6em; color: var(--soft) } .up { color: var(--good) } .down { color: var(--bad) }
.gallery { display: grid; grid-template-columns: repeat(auto-fit, minmax(500px, 1fr)); gap: 14px; margin-top: 12px }
.gallery figure { margin: 0; background: var(--panel); border: 1px solid var(--rule); border-radius: 8px; padding: 14px 16px; overflow-x: auto } figcaption { font-size: 14px; margin-bottom: 8px } figcaption b { color: var(--ink); font-size: 16px; margin-right: 6px }
.gallery table { width: auto; font-size: 13.5px } .gallery th, .gallery td { border: 0; padding: 1.5px 2px; text-align: center } .gallery tbody th { text-align: left; font-weight: 400; color: var(--soft); padding-right: 8px }
.gallery.wide { grid-template-columns: 1fr } .gallery img { width: 48px; height: 48px; display: block; border-radius: 4px } .gallery span { display: block; width: 48px; border-radius: 4px; font-weight: 600 }
.gallery .right { background: var(--goodfill); color: var(--good) } .gallery .wrong { background: var(--badfill); color: var(--bad) }
dl { display: grid; grid-template-columns: max-content 1fr; gap: 4px 22px; margin: 12px 0 0; font-size: 14.5px } dt { color: var(--soft) } dd { margin: 0 } code { font: 13.5px ui-monospace, "Cascadia Mono", "DejaVu Sans Mono", monospace; background: var(--band); padding: 2px 6px; border-radius: 4px }
a { color: var(--patched) }
@media (max-width: 640px) { main { padding: 24px 14px 40px } .gallery { grid-template-columns: 1fr } }
@media print { .panel, .gallery figure, .cards li { break-inside: avoid } }
`;
