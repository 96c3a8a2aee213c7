"""One HTML file in which a visitor pokes a still. It loads nothing from any network.

Law: the file holds all it shows: the scripts of `web/`, the shapes as `packing` packs them, and two
pictures. Where scripts do not run, the foreground lies over the background, which is the still.
"""

import base64
import html
import json
import re
from pathlib import Path

from ..files.whole import written_whole
from ..motion.spectrum import SpectralVolume
from ..shapes import Float, Tensor
from .packing import layer_pictures, pack
from .response import body_of, check_still

WEB = Path(__file__).resolve().parents[2] / "web"
# Each after those that it imports.
SCRIPTS = "gid_gestures", "gid_modal", "gid_view", "gid_player", "gid_page"
IMPORT = re.compile(r'^import \{(.+?)\} from "\./(\w+)\.js";$', re.M)
EXPORT = re.compile(r"^export (?=(?:async )?(?:function|class|const) (\w+))", re.M)

PAGE = """<!doctype html>
<html lang="{language}">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>
html {{ height: 100%; background: #14161a; color: #c8ccd4; font: 15px system-ui, sans-serif }}
body {{ display: flex; flex-direction: column; align-items: center; justify-content: center;
  gap: 12px; min-height: 100%; margin: 0 }}
#player {{ position: relative; width: min(100vw, calc((100vh - 60px) * {aspect:.5f}));
  max-width: {width}px; aspect-ratio: {aspect:.5f};
  overflow: hidden; touch-action: none; user-select: none; cursor: grab; outline: none }}
#player:active {{ cursor: grabbing }}
#player:focus-visible {{ box-shadow: 0 0 0 3px #6af }}
#player img {{ position: absolute; width: 100%; height: 100% }}
#player i {{ position: absolute; width: 14px; height: 14px; margin: -8px; border: 2px solid #fff;
  border-radius: 50%; pointer-events: none; visibility: hidden }}
#player:focus-visible i {{ visibility: visible }}
p {{ display: flex; gap: 16px; margin: 0 12px; min-height: 32px; align-items: center }}
button {{ font: inherit; color: inherit; background: #2a2e36; border: 0; border-radius: 6px;
  padding: 6px 12px; cursor: pointer }}
button[aria-pressed=true] {{ background: #3d5a4c }}
</style>
<div id="player" tabindex="0" role="application" aria-label="{label}">
<img alt="" src="data:image/webp;base64,{background}">
<img alt="{label}" src="data:image/webp;base64,{foreground}">
</div>
<p><span>{hint}</span><button id="wind" type="button" aria-pressed="false" hidden>Wind</button></p>
<script type="module">
{script}
gid_page.openPage(document, {settings}).then(player => {{ window.poked = player; }});
</script>
</html>
"""
HINT = "Drag to pull. Beside what moves, a sweep pushes it."


def save_page(
    path: Path,
    stills: Float[Tensor, "b c h w"],
    spectrum: SpectralVolume,
    wind: float = 0.5,
    title: str = "A still to poke",
    longest: int = 1024,
) -> None:
    """Write the page of a still as a whole file or not at all. See `page_html`."""
    check_still(spectrum, stills)
    text = page_html(stills[0], spectrum, wind, title, longest)
    with written_whole(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def page_html(
    still: Float[Tensor, "c h w"],
    spectrum: SpectralVolume,
    wind: float = 0.5,
    title: str = "A still to poke",
    longest: int = 1024,
) -> str:
    """The page of one still.

    Args:
        wind: Share of the spectrum's own motion that is added; visitors can switch it off.
        title: Title of the page, and the label of the still for screen readers.
        longest: Longer side of the pictures at most, px.

    Raises:
        ValueError: If the spectrum is of another still, or the scripts are missing.
    """
    check_still(spectrum, still[None])
    height, width = still.shape[-2:]
    pictures = layer_pictures(still, spectrum, longest)
    foreground, background = (_base64(picture) for picture in pictures)
    settings = {"modes": _base64(pack(body_of(spectrum), spectrum)), "wind": wind}
    # The pictures are in the page already, as the still for visitors without scripts.
    fields = ", ".join(f"{name}: {json.dumps(value)}" for name, value in settings.items())
    return PAGE.format(
        language="en",
        title=html.escape(title),
        label=html.escape(
            f"{title}. Drag to pull it, arrow keys with Shift to flick it.", quote=True
        ),
        hint=HINT,
        aspect=width / height,
        width=2 * min(width, longest),
        foreground=foreground,
        background=background,
        script=bundled(),
        settings=f"{{ {fields}, pictures: document.querySelectorAll('#player img') }}",
    )


def bundled() -> str:
    """All scripts as one: every module becomes a function that returns its exports.

    Raises:
        ValueError: If a script is missing.
    """
    parts = []
    for name in SCRIPTS:
        path = WEB / f"{name}.js"
        if not path.is_file():
            raise ValueError(
                f"Expected the page's scripts in {str(WEB)!r}, found no {path.name}. Use a whole "
                "copy of Image Dynamics: the page needs its folder web/ beside gid_core/."
            )
        source = path.read_text(encoding="utf-8")
        exports = ", ".join(EXPORT.findall(source))
        body = EXPORT.sub("", IMPORT.sub(r"const {\1} = \2;", source))
        parts.append(f"const {name} = (() => {{\n{body}\nreturn {{ {exports} }};\n}})();")
    return "\n".join(parts).replace("</script", "<\\/script")


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()
