"""What nodes show in the real page, on both canvases: text, the small loop, the mask."""

from test_browser import ENDED, SHORT, SHORTER, opened, page  # noqa: F401

SAMPLER = "app.graph._nodes.find(node => node.type === 'MotionSpectrumSampler')"
SAYS = "[...document.querySelectorAll('.gid-said')].map(said => said.textContent)"
CACHED = """new Promise(end => {
    let cached = [];
    const keep = event => cached = event.detail.nodes;
    app.api.addEventListener("execution_cached", keep, {once: true});
    app.api.addEventListener("execution_success", () => end(cached), {once: true});
    app.queuePrompt(0);
})"""
SET = """([type, name, value]) => {
    const node = app.graph._nodes.find(node => node.type === type);
    node.widgets.find(widget => widget.name === name).value = value;
}"""


def test_a_run_shows_text_a_loop_and_the_mask_and_playback_never_samples_again(page):  # noqa: F811
    opened(page, "Photo to loop")
    page.evaluate(SHORTER, SHORT)
    kind, detail = page.evaluate(ENDED)
    assert kind == "execution_success", detail
    page.wait_for_function(f"({SAYS}).some(text => text.includes('of the paint'))", timeout=10_000)
    shown = f"app.nodeOutputs[String({SAMPLER}.id)]?.images?.map(image => image.filename)"
    (name,) = page.evaluate(shown)
    page.wait_for_selector(f"img[src*='{name}']", state="attached", timeout=10_000)
    widgets = page.evaluate(f"{SAMPLER}.widgets.map(widget => widget.name)")
    saved = page.evaluate(f"{SAMPLER}.serialize().widgets_values.length")
    assert "said" in widgets and saved <= widgets.index("said")
    sampler = page.evaluate(f"String({SAMPLER}.id)")
    for change in (
        ["SpectrumToDisplacement", "speed", 0.5],
        ["SpectrumToDisplacement", "frames", 5],
        ["FeatureSplatRender", "motion_blur", 0.1],
        ["FeatureSplatRender", "renderer", "splat only"],
    ):
        page.evaluate(SET, change)
        assert sampler in page.evaluate(CACHED), change
    assert page.problems == []
