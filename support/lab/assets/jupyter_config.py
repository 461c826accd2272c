# Written by `lab setup`; it replaces this file whenever it differs.
#
# JupyterLab's "Export as HTML" proposes "Sanitize HTML output". nbconvert's own `clean_html` then
# lets through what `bleach` allows in a comment on a blog: bold text, lists, links. It prints the
# tags of everything else as text, those of headings, paragraphs and pictures among them
# (jupyter/nbconvert#2016), and has no setting for that. This one knows what stands in a notebook:
# text, tables, pictures and drawings; and no scripts, frames, forms or addresses that run any.
import re

TAGS = """
    a abbr b blockquote br caption cite code col colgroup dd del details div dl dt em figcaption
    figure h1 h2 h3 h4 h5 h6 hr i img ins kbd li mark ol p pre q s samp small span strong sub
    summary sup table tbody td tfoot th thead tr u ul var
    circle clipPath defs desc ellipse g line linearGradient marker path polygon polyline
    radialGradient rect stop svg text title tspan
""".split()
ATTRIBUTES = """
    align alt aria-hidden aria-label class colspan datetime dir height id lang open role rowspan
    scope start style title width
    clip-path cx cy d dominant-baseline dx dy fill fill-opacity fill-rule font-family font-size
    font-style font-weight gradientTransform gradientUnits marker-end marker-mid marker-start
    markerHeight markerWidth offset opacity orient points preserveAspectRatio r refX refY rx ry
    stop-color stop-opacity stroke stroke-dasharray stroke-linecap stroke-linejoin stroke-opacity
    stroke-width text-anchor transform version viewBox x x1 x2 xmlns y y1 y2
""".split()
STYLES = """
    background background-color border border-bottom border-collapse border-color border-left
    border-radius border-right border-top color display fill flex flex-wrap font font-family
    font-size font-style font-variant-numeric font-weight gap grid-template-columns height
    justify-content line-height margin margin-bottom margin-left margin-right margin-top max-height
    max-width min-width opacity overflow overflow-x padding padding-bottom padding-left
    padding-right padding-top stroke stroke-width text-align text-decoration
    text-indent vertical-align white-space width --nb-image
""".split()
LINK = re.compile(r"https?://|mailto:|[^:]*([/?#]|$)")
PICTURE = re.compile(r"data:image/|https?://|[^:]*([/?#]|$)")
# No markup, and nothing that is fetched.
STYLE_SHEET = re.compile(
    r"<style>(?!(?i:[^<]*(?:url\(|src\(|image-set\(|@import|\\)))[^<]*</style>"
)


def allowed(tag, name, value):
    match tag, name:
        case "a", "href":
            return LINK.match(value) is not None
        case "img", "src":
            return PICTURE.match(value) is not None
        case _:
            return name in ATTRIBUTES


def clean_html(element):
    import uuid

    from bleach import clean
    from bleach.css_sanitizer import CSSSanitizer

    text = element.decode() if isinstance(element, bytes) else str(element)
    # bleach would print a style sheet as text, or not look into it: those that may stay go around.
    # In a value of an attribute, one kind of quotation mark in this element would be escaped.
    mark = f"""<lab-style class="{uuid.uuid4().hex}" title="'"></lab-style>"""
    style_sheets = [found.group() for found in STYLE_SHEET.finditer(text)]
    cleaned = clean(
        STYLE_SHEET.sub(mark, text),
        tags=[*TAGS, "lab-style"],
        attributes=allowed,
        protocols=["http", "https", "mailto", "data"],
        css_sanitizer=CSSSanitizer(allowed_css_properties=STYLES),
    )
    before, *after = cleaned.split(mark)
    if len(after) != len(style_sheets):
        return before + "".join(after)
    return before + "".join(map(str.__add__, style_sheets, after))


c.HTMLExporter.filters = {"clean_html": clean_html}  # noqa: F821
c.HTMLExporter.language_code = "zh"  # noqa: F821
