package bench

// chartStyle colours charts, by light and by dark.
const chartStyle = `
:root { color-scheme: light dark; --paper: #ffffff; --ink: #1d2430; --soft: #667085; --rule: #e6e9ef; --axis: #98a2b3;
  --s0: #2563c9; --s1: #c2620e; --s2: #12806a; --s3: #7a4fc4; --s4: #b3325f; --s5: #5c6b1d; --quiet: #98a2b3; --warn: #a15c07; --bad: #b42318 }
@media (prefers-color-scheme: dark) { :root { --paper: #12161d; --ink: #e7ebf2; --soft: #94a0b3; --rule: #262d39; --axis: #4b5668;
  --s0: #79aaff; --s1: #f2a65a; --s2: #4fc9ac; --s3: #b79bf5; --s4: #f286ab; --s5: #bccc66; --quiet: #66738a; --warn: #f0b35e; --bad: #f97066 } }
.chart { font: 12px/1.3 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", sans-serif;
  font-variant-numeric: tabular-nums; display: block; overflow: visible }
.chart text { fill: var(--ink) }
.chart .title { font-size: 13.5px; font-weight: 600 }
.chart .soft, .chart .tick, .chart .name { fill: var(--soft); font-size: 11.5px }
.chart .grid { stroke: var(--rule); stroke-width: 1; fill: none }
.chart .axis { stroke: var(--axis); stroke-width: 1; fill: none }
.chart .mark { stroke: var(--axis); stroke-width: 1; stroke-dasharray: 2 3; fill: none }
.chart .line { fill: none; stroke-width: 1.8; stroke-linejoin: round; stroke-linecap: round; stroke: currentColor }
.chart .dashed { stroke-width: 1.3; stroke-dasharray: 5 4 }
.chart .area { stroke: none; fill: currentColor; opacity: .09 }
.chart .hint { fill: currentColor; stroke: none; opacity: 0 }
.chart .hint:hover { opacity: 1 }
.s0 { color: var(--s0) } .s1 { color: var(--s1) } .s2 { color: var(--s2) } .s3 { color: var(--s3) }
.s4 { color: var(--s4) } .s5 { color: var(--s5) } .quiet { color: var(--quiet) }
`

// pageStyle is the rest of an HTML page's.
const pageStyle = `
* { box-sizing: border-box }
body { margin: 0; background: var(--paper); color: var(--ink);
  font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", sans-serif; font-variant-numeric: tabular-nums }
main { max-width: 1240px; margin: 0 auto; padding: 40px 32px 64px }
h1 { font-size: 26px; line-height: 1.2; margin: 0 0 6px; letter-spacing: -.01em }
h2 { font-size: 19px; margin: 0; letter-spacing: -.005em }
p { margin: 0 }
.soft { color: var(--soft) }
header { margin-bottom: 12px }
section { border-top: 1px solid var(--rule); margin-top: 32px; padding-top: 26px }
.figures { display: flex; flex-wrap: wrap; gap: 18px 44px; margin: 20px 0 26px; padding: 0 }
.figures div { display: flex; flex-direction: column-reverse; justify-content: flex-end }
.figures dt { color: var(--soft); font-size: 13px }
.figures dd { margin: 0; font-size: 25px; line-height: 1.25; font-weight: 600; letter-spacing: -.015em; white-space: nowrap }
.figures dd small { font-size: 14px; font-weight: 400; color: var(--soft); letter-spacing: 0; margin-left: 4px }
.charts { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 440px), 1fr)); gap: 34px 48px }
.charts svg { width: 100%; height: auto; max-width: 720px }
ul { margin: 24px 0 0; padding: 0 0 0 18px; color: var(--soft); font-size: 14px }
li { margin: 3px 0 }
li.bad { color: var(--bad) } li.warn { color: var(--warn) }
.wide { overflow-x: auto; margin-top: 24px }
table { border-collapse: collapse; font-size: 14px }
th, td { padding: 6px 14px 6px 0; text-align: right; white-space: nowrap; border-bottom: 1px solid var(--rule) }
th { font-weight: 500; color: var(--soft) }
th:first-child, td:first-child { text-align: left }
@media print { :root { color-scheme: light } section { break-inside: avoid } }
`
