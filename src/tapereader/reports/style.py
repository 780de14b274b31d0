"""How a page looks: one style sheet, light and dark, from a phone to a desk."""

from __future__ import annotations

import re

from tapereader.reports.charts import PALETTES, Palette

_RULES = """
*{box-sizing:border-box}
html{-webkit-text-size-adjust:100%}
body{margin:0;background:var(--paper);color:var(--ink);font:400 1rem/1.6 system-ui,-apple-system,"Segoe UI",Roboto,
"Noto Sans","Noto Sans CJK SC","PingFang SC","Microsoft YaHei",sans-serif}
main{max-width:62rem;margin:0 auto;padding:4rem 1.5rem 5rem}
h1,h2,.lead{font-family:Charter,"Iowan Old Style","Source Serif 4",Georgia,"Noto Serif","Noto Serif CJK SC",
"Songti SC",serif;font-weight:600;letter-spacing:-.01em}
h1{font-size:clamp(1.8rem,1.3rem + 2.4vw,2.9rem);line-height:1.12;margin:.2rem 0 1.2rem;text-wrap:balance}
h2{font-size:1.45rem;line-height:1.25;margin:0 0 .4rem}
h3{font-size:.95rem;font-weight:600;margin:0 0 .4rem}
.eyebrow{font-size:.78rem;letter-spacing:.09em;text-transform:uppercase;color:var(--muted);margin:0}
.lead{font-weight:400;font-size:clamp(1.1rem,1rem + .7vw,1.4rem);line-height:1.45;max-width:44rem;margin:0 0 1.2rem;
text-wrap:pretty}
.lead b{color:var(--accent);font-weight:600;white-space:nowrap}
section{border-top:1px solid var(--line);padding-top:1.6rem;margin-top:3rem}
p{margin:0 0 .8rem;max-width:44rem}
.note{color:var(--muted);font-size:.9rem}
.banner{border-left:4px solid var(--contrast);background:var(--tint);padding:.8rem 1.1rem;margin:0 0 .8rem;
border-radius:0 .4rem .4rem 0;max-width:44rem}
.banner b{color:var(--contrast)}
.strip{display:grid;grid-template-columns:repeat(auto-fit,minmax(8.5rem,1fr));gap:1.2rem 1.5rem;
margin:2rem 0 0;padding:0}
.strip div{border-top:2px solid var(--ink);padding-top:.5rem}
dt{color:var(--muted);font-size:.82rem}
.strip dd{margin:0;font-size:1.15rem;font-weight:600;font-variant-numeric:tabular-nums;overflow-wrap:anywhere}
.wide{overflow-x:auto;margin:.8rem 0 1rem}
table{border-collapse:collapse;width:100%;font-size:.92rem;font-variant-numeric:tabular-nums}
th{font-weight:500;color:var(--muted);text-align:left;font-size:.82rem;vertical-align:bottom}
th,td{padding:.5rem .9rem .5rem 0;border-bottom:1px solid var(--line)}
td{vertical-align:top}
td.number,th.number{text-align:right;white-space:nowrap}
td.number:last-child,th.number:last-child{padding-right:.2rem}
td.number+td:not(.number),th.number+th:not(.number){padding-left:1.6rem}
td small{display:block;color:var(--muted);font-size:.76rem}
tr.ours td{font-weight:650}
tr.ours td:first-child{color:var(--accent)}
tr.ours small{font-weight:400}
tr.part td{padding-top:1.1rem;color:var(--muted);font-size:.82rem;border-bottom-color:var(--ink)}
td:first-child,th:first-child{position:sticky;left:0;background:var(--paper)}
.charts{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,24rem),1fr));gap:2rem 2.5rem;margin:1.2rem 0}
figure{margin:0;min-width:0}
figcaption{color:var(--muted);font-size:.88rem;margin-bottom:.4rem}
figure svg{display:block;width:100%;max-width:32rem;height:auto}
.rows{list-style:none;margin:1rem 0 0;padding:0}
.rows>li{padding:1rem 0;border-bottom:1px solid var(--line)}
.rows q{quotes:none;display:block;font-size:1.02rem;overflow-wrap:anywhere;max-width:48rem}
.rows p{margin:.3rem 0 0;font-size:.9rem;color:var(--muted)}
.rows p b{color:var(--ink);font-weight:600}
.bars{display:grid;grid-template-columns:minmax(4.5rem,max-content) minmax(0,18rem) max-content;gap:.25rem .8rem;
align-items:center;margin:.6rem 0 0;font-size:.86rem;font-variant-numeric:tabular-nums}
.bar{height:.55rem;background:var(--line);border-radius:.3rem;overflow:hidden}
.bar i{display:block;height:100%;background:var(--muted);border-radius:.3rem}
.bars .top{font-weight:650}
.bar.top i{background:var(--accent)}
.facts{display:grid;grid-template-columns:minmax(7rem,max-content) 1fr;gap:.5rem 1.5rem;margin:1rem 0 0;
font-size:.92rem}
.facts dd{margin:0;overflow-wrap:anywhere}
code,pre{font:400 .88em/1.5 ui-monospace,"SF Mono",Menlo,Consolas,monospace}
pre{background:var(--tint);padding:.9rem 1.1rem;border-radius:.4rem;overflow-x:auto;margin:1rem 0}
footer{margin-top:3.5rem;color:var(--muted);font-size:.85rem}
@media(max-width:40rem){main{padding:2rem 1.1rem 3rem}section{margin-top:2.2rem}.facts{grid-template-columns:1fr;gap:0}
.facts dd{margin-bottom:.6rem}.strip{grid-template-columns:1fr 1fr}th,td{padding-right:.7rem}}
@page{size:A4;margin:16mm 15mm 18mm;@bottom-right{content:counter(page) " / " counter(pages);color:#69727d;
font:8pt system-ui,"Noto Sans",sans-serif}}
@media print{html{font-size:9.5pt}main{padding:0;max-width:none}h1{font-size:2.1rem}.lead{font-size:1.2rem}
section{margin-top:1.6rem;padding-top:1rem}h2,h3,figcaption,thead{break-after:avoid}
section>p,tr.part{break-after:avoid}
tr.ours td{font-weight:700}.rows>li{padding:.45rem 0}.facts{gap:.3rem 1.5rem}.lead,.banner,p{max-width:none}
figure,tr,.rows>li,.banner,.strip,.bars,pre{break-inside:avoid}p{orphans:3;widows:3}.wide{overflow:visible}
table{font-size:.85rem}th{font-size:.74rem}th,td{padding:.32rem .5rem .32rem 0}td small{font-size:.68rem}
td:first-child,th:first-child{position:static}
.strip{grid-template-columns:repeat(5,1fr);gap:1rem}.strip dd{font-size:1rem}
.wide+.wide{break-inside:avoid}
.charts{grid-template-columns:repeat(2,1fr);gap:1.2rem 1.6rem}
.facts{grid-template-columns:12rem 1fr}pre{white-space:pre-wrap;overflow:visible}
footer{margin-top:1.2rem;break-before:avoid-page}}
"""


def style_sheet() -> str:
    """Return the style sheet of every page, with both palettes."""
    light, dark = _variables(PALETTES["light"], "#f1eee6"), _variables(PALETTES["dark"], "#20242a")
    return (
        f":root{{color-scheme:light dark;{light}}}"
        f"@media(prefers-color-scheme:dark){{:root{{{dark}}}}}"
        f"{_RULES}@media print{{:root{{{light}--paper:#ffffff;}}}}"
    )


def follow_page(svg: str) -> str:
    """Return a light chart whose colours are those of the page around it, whichever style the reader's device asks for.

    Parameters
    ----------
    svg : what ``charts.to_svg`` made of a light figure
    """
    for name, colour in vars(PALETTES["light"]).items():
        svg = svg.replace(colour, f"var(--{name})")
    return svg


def fix_colours(html: str) -> str:
    """Return a page whose charts name their light colours themselves, for a reader that knows no variables in SVG.

    Parameters
    ----------
    html : a page with charts from :func:`follow_page`
    """
    colours = vars(PALETTES["light"]) | {"paper": "#ffffff"}

    def fixed(chart: re.Match[str]) -> str:
        return re.sub(r"var\(--(\w+)\)", lambda name: colours.get(name[1], name[0]), chart[0])

    return re.sub(r"<svg\b.*?</svg>", fixed, html, flags=re.DOTALL)


def _variables(palette: Palette, tint: str) -> str:
    return "".join(f"--{name}:{colour};" for name, colour in {**vars(palette), "tint": tint}.items())
