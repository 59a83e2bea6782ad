"""One experiment in a real browser: answer, pictures, the numbers behind them, and what a link keeps."""

import json
import re
from typing import Any

import numpy as np
import pytest
from playwright.sync_api import Page, expect
from sqlalchemy import update

from api.report.palette import places
from gradient_clinic.maps.colours import NOT_FINITE, SILENT, colours
from gradient_clinic.values import Array
from models.storage.tables import Run
from tests.api import made
from tests.api.dashboard.conftest import BROKEN_STEP, STEPS, Stored, Visitor, accessible
from tests.api.routes import test_ingest as ingest
from tests.eventually import eventually
from tests.models.analysis.synthetic import CHANCE


def pixels(page: Page, title: str) -> Array:
    """(rows, columns, 3) of a heat map as it lies in the canvas, first layer at the bottom."""
    read = """canvas => {
        const {width, height} = canvas;
        const read = new OffscreenCanvas(width, height).getContext("2d", {willReadFrequently: true});
        read.drawImage(canvas, 0, 0);
        return [height, width, [...read.getImageData(0, 0, width, height).data]];
    }"""
    canvas = page.locator("figure.map").filter(has=page.get_by_text(title, exact=True)).locator("canvas")
    height, width, data = canvas.evaluate(read)
    return np.array(data, dtype=float).reshape(height, width, 4)[::-1, :, :3]


def shown(visitor: Visitor, experiment: dict[str, Any], search: str = "") -> Page:
    page = visitor.open(f"#/experiment/{experiment['id']}{search}")
    expect(page.locator("figure.map canvas").first).to_be_visible()
    return page


def test_the_answer_is_in_front_and_the_variants_are_told(visitor: Visitor, stored: Stored) -> None:
    page = shown(visitor, stored.sick)
    answer = stored.served.client.get(f"/v1/experiments/{stored.sick['id']}/comparison").json()["answer"]
    expect(page.locator(".answer p.first")).to_have_text(answer.split(". ")[0] + ".")
    expect(page.locator(".answer li")).to_have_count(len(re.findall(r"\. (?=[A-Za-z])", answer)))
    expect(page.locator(".head")).to_contain_text("12 of 12 runs")
    table = page.get_by_role("region", name="Variants")
    expect(table.get_by_role("row")).to_have_count(5)
    expect(table.get_by_role("row").filter(has_text="l2")).to_contain_text("l2 (strength 0.001)")
    changes = table.get_by_role("columnheader").all_inner_texts().index("Changes")
    row = table.get_by_role("row").filter(has_text="batch_norm")
    expect(row.get_by_role("cell").nth(changes)).to_have_text("batch norm")
    accessible(page)


def test_who_trains_is_on_the_first_screen_of_a_phone(visitor: Visitor, stored: Stored) -> None:
    visitor.page.set_viewport_size({"width": 380, "height": 900})
    page = shown(visitor, stored.sick)
    table = page.get_by_role("region", name="Variants")
    for title in ("Trains", "accuracy"):
        box = table.get_by_role("columnheader", name=title).bounding_box()
        assert box is not None
        assert box["x"] + box["width"] <= 380


def test_curves_wait_for_no_list_of_runs(visitor: Visitor, stored: Stored) -> None:
    """Of hundreds of runs that is what takes longest."""
    visitor.page.route("**/runs/brief?*", lambda _: None)
    page = visitor.open(f"#/experiment/{stored.sick['id']}")
    expect(page.locator(".lines canvas").first).to_be_visible()
    expect(page.locator("figure.map")).to_have_count(0)


def test_a_depth_is_told_with_its_hidden_layers(visitor: Visitor, stored: Stored) -> None:
    """Twelve layers with the output; its map has eleven rows."""
    page = shown(visitor, stored.sick)
    expect(page.locator(".setup")).to_contain_text("depth 12 (11 hidden layers and the output)")


def on_a_table(stored: Stored) -> dict[str, Any]:
    """Whose remedies were left to the clinic."""
    rows = "".join(f"{at},{at % 7},{3 * at}\n" for at in range(200))
    sent = stored.served.client.put(
        "/v1/datasets/houses", content=f"area,rooms,price\n{rows}", params={"target": "price"}
    )
    assert sent.is_success, sent.text
    network = {"kind": "mlp", "depth": 12, "width": 8, "activation": "sigmoid"}
    dataset = {"kind": "uploaded", "name": "houses"}
    return made.submit(
        stored.served.client,
        name="prices",
        dataset=dataset,
        network=network,
        remedies="suggest",
        seeds=[0],
        steps=STEPS,
    )


def test_what_was_asked_is_told_in_full_and_fits_a_phone(visitor: Visitor, stored: Stored) -> None:
    asked = on_a_table(stored)
    data = asked["spec"]["dataset"]
    visitor.page.set_viewport_size({"width": 380, "height": 900})
    page = visitor.open(f"#/experiment/{asked['id']}")
    setup = page.locator(".setup")
    expect(setup.locator("summary")).to_contain_text(f"version {data['version'][:8]})")
    assert eventually(lambda: page.evaluate("document.documentElement.scrollWidth") <= 380)
    setup.locator("summary").click()
    for title, said in (
        ("Read as", data["facts"]["note"]),
        ("Version", data["version"]),
        ("Standardised", "each input by its own mean and deviation"),
        ("Learning rate", "0.01"),
        ("Length", f"{STEPS} steps in batches of 128"),
    ):
        assert said
        expect(setup.locator("dt", has_text=title).locator("+ dd")).to_have_text(said)
    assert asked["suggested"]
    expect(setup.locator("dd li")).to_have_text([re.compile(re.escape(one["why"])) for one in asked["suggested"]])
    assert eventually(lambda: page.evaluate("document.documentElement.scrollWidth") <= 380)
    accessible(page)


def test_the_experiment_that_it_was_suggested_from_is_a_link_away(visitor: Visitor, stored: Stored) -> None:
    sick = {field: stored.sick["spec"][field] for field in ("network", "dataset")}
    asked = made.submit(stored.served.client, **sick, remedies="suggest", suggest_from=stored.sick["id"])
    page = visitor.open(f"#/experiment/{asked['id']}")
    page.locator(".setup summary").click()
    page.get_by_role("link", name="the experiment before it").click()
    expect(page.get_by_role("heading", name=stored.sick["name"])).to_be_visible()


def test_a_variant_is_taken_home_as_a_file(visitor: Visitor, stored: Stored) -> None:
    page = shown(visitor, stored.sick)
    with page.expect_download() as downloading:
        page.get_by_role("button", name="batch_norm.py").click()
    direct = stored.served.client.get(f"/v1/experiments/{stored.sick['id']}/variants/batch_norm/code")
    assert downloading.value.suggested_filename == "batch_norm.py"
    assert downloading.value.path().read_bytes() == direct.content


def test_pictures_of_the_server_are_shown_with_their_numbers_behind(visitor: Visitor, stored: Stored) -> None:
    page = shown(visitor, stored.sick)
    images = page.locator("img.drawn")
    expect(images).to_have_count(6)
    for image in images.all():
        expect(image).to_be_visible()  # the profiles come last
    assert all(images.evaluate_all("all => all.map(one => one.naturalWidth)"))
    assert page.locator("img.drawn:not([alt])").count() == 0
    behind = page.locator("section").filter(has=page.get_by_role("heading", name="Against the baseline"))
    behind.get_by_text("Numbers").click()
    expect(behind.get_by_role("table")).to_contain_text("batch_norm")


def test_what_waits_for_a_worker_says_so_until_it_trains(visitor: Visitor, stored: Stored) -> None:
    asked = made.submit(stored.served.client, name="early", seeds=[0])
    page = visitor.open(f"#/experiment/{asked['id']}")
    expect(page.locator(".head .progress")).to_have_text("waiting for a worker")
    accessible(page)
    made.claim(stored.database, made.run_ids(stored.database, asked)[0])
    expect(page.locator(".head .progress")).to_have_text("0 %")


SHOWN_BY = {
    "success_difference": "share that trains",
    "metric_difference": "accuracy",
    "metric_progress": "way closed, accuracy",
    "loss_progress": "way closed, loss",
    "gradients": "gradients",
    None: "–",
}


def test_the_differences_say_what_each_variant_is_shown_by(visitor: Visitor, stored: Stored) -> None:
    """As the service says it, whatever else is in its answer: the page decides nothing."""
    path = f"/v1/experiments/{stored.sick['id']}/comparison"
    answer = stored.served.client.get(path).json()
    said = [one["versus_baseline"]["shown_by"] for one in answer["variants"][1:]]
    assert said == ["success_difference"] * 3
    for those in (said, list(SHOWN_BY)[:3], list(SHOWN_BY)[3:]):
        for variant, measure in zip(answer["variants"][1:], those, strict=True):
            variant["versus_baseline"]["shown_by"] = measure
        visitor.page.route(f"**{path}", lambda route: route.fulfill(json=answer))
        page = shown(visitor, stored.sick)
        page.reload()
        behind = page.locator("section").filter(has=page.get_by_role("heading", name="Against the baseline"))
        behind.get_by_text("Numbers").click()
        table = behind.get_by_role("table")
        at = table.get_by_role("columnheader").all_inner_texts().index("Shown by")
        cells = [row.get_by_role("cell").nth(at) for row in table.locator("tbody tr").all()]
        assert [cell.inner_text() for cell in cells] == [SHOWN_BY[measure] for measure in those]


def test_a_pixel_has_the_colour_of_the_report_for_the_value_that_was_recorded(visitor: Visitor, stored: Stored) -> None:
    page = shown(visitor, stored.sick)
    page.get_by_label("Limit of the colour scale").fill("30")
    page.keyboard.press("Enter")
    found = pixels(page, "baseline")
    assert found.shape == (11, STEPS, 3)
    # As tests/api/made.py writes them: δ shrinks by the gain of the first seed in each of ten increments.
    expected = np.tile(-2.2 * np.arange(10, -1, -1.0)[:, None], (1, STEPS))
    assert np.abs(found - colours(expected, 30.0)).max() <= 2


def test_zero_is_grey_and_the_first_value_that_is_not_finite_is_marked(visitor: Visitor, stored: Stored) -> None:
    page = shown(visitor, stored.broken)
    found = pixels(page, "baseline")
    assert found[0, 1].tolist() == list(SILENT)
    assert found[1:, BROKEN_STEP:].reshape(-1, 3).tolist() == [list(NOT_FINITE)] * (2 * (STEPS - BROKEN_STEP))
    first = stored.served.client.get(f"/v1/experiments/{stored.broken['id']}/runs").json()["items"][0]["id"]
    place = stored.served.client.get(f"/v1/runs/{first}").json()["first_nonfinite"]
    assert place["step"] == BROKEN_STEP
    said = f"First value that is not finite: step {BROKEN_STEP}, {place['layer']}, {place['where']} pass"
    expect(page.locator("figure .mark-words")).to_have_text(said)
    # And above all pictures, where it is looked for first.
    expect(page.locator(".broken-runs")).to_have_text(f"baseline, seed 0: {said}")
    expect(page.locator(".broken-runs a")).to_have_attribute("href", f"#/run/{first}")
    mark = page.locator(".first-broken")
    assert float(mark.evaluate("one => parseFloat(one.style.left)")) == pytest.approx(100 * (BROKEN_STEP + 0.5) / STEPS)


def test_keys_read_a_map_and_zoom_into_it(visitor: Visitor, stored: Stored) -> None:
    page = shown(visitor, stored.sick)
    surface = page.get_by_role("group", name="Heat map of baseline")
    surface.focus()
    page.keyboard.press("End")
    page.keyboard.press("ArrowUp")
    told = page.locator("figure.map output").first
    expect(told).to_contain_text(f"hidden.1, step {STEPS - 1}: ln ratio −19.8")
    expect(page.locator("#said")).to_have_text(told.text_content() or "")
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile("from="))
    expect(page.get_by_role("group", name="Heat map of baseline")).to_have_attribute(
        "aria-label", f"Heat map of baseline: 11 rows, steps {STEPS - 1 - 5} to {STEPS - 1}"
    )
    link = page.url
    page.get_by_role("group", name="Heat map of baseline").focus()
    page.keyboard.press("Escape")
    expect(page).not_to_have_url(re.compile("from="))
    page.goto("about:blank")
    page.goto(link)
    expect(page.get_by_role("group", name="Heat map of baseline")).to_have_attribute(
        "aria-label", f"Heat map of baseline: 11 rows, steps {STEPS - 1 - 5} to {STEPS - 1}"
    )


def test_a_locked_scale_stays_in_the_link(visitor: Visitor, stored: Stored) -> None:
    page = shown(visitor, stored.sick)
    before = pixels(page, "baseline")
    page.get_by_label("Limit of the colour scale").fill("100")
    page.keyboard.press("Enter")
    paler = pixels(page, "baseline")
    assert paler[0].sum() > before[0].sum()
    page.reload()
    expect(page.get_by_label("lock scale")).to_be_checked()
    assert pixels(page, "baseline").tolist() == paler.tolist()


def test_curves_are_drawn_with_a_line_for_each_variant(visitor: Visitor, stored: Stored) -> None:
    page = shown(visitor, stored.sick)
    expect(page.locator(".u-legend .u-series:not(.band-end)")).to_have_count(5)
    page.get_by_label("single seeds").check()
    expect(page.locator(".u-legend .u-series:not(.band-end)")).to_have_count(5 + 4 * 3)
    page.get_by_label("Curve").select_option("gradient_norm")
    section = page.locator("section").filter(has=page.get_by_role("heading", name="Curves"))
    section.get_by_text("Numbers").click()
    # Every curve that tests/api/made.py writes holds the number of its record.
    expect(section.get_by_role("row").last.get_by_role("cell")).to_have_text(["36"] * 5)


def test_it_is_followed_while_it_trains_and_deleted_after_a_question(visitor: Visitor, stored: Stored) -> None:
    client, database = stored.served.client, stored.database
    asked = made.submit(client, name="live", seeds=[0], steps=STEPS)
    page = visitor.open(f"#/experiment/{asked['id']}")
    expect(page.locator(".head")).to_contain_text("queued")
    lease, plan = made.claim(database, made.run_ids(database, asked)[0])
    with database.begin() as session:
        session.execute(update(Run).where(Run.id == lease.run_id).values(chance_level=CHANCE))
    made.write(database, lease, plan, made.values(plan, 0.0)[..., :10])
    expect(page.locator(".early")).to_contain_text("early reading of the baseline, seed 0, at step 9")
    expect(page.locator(".head")).to_contain_text("running")
    expect(page.get_by_role("group", name="Heat map of baseline")).to_have_attribute(
        "aria-label", re.compile("steps 0 to 9")
    )
    made.write(database, lease, plan, made.values(plan, 0.0), ended=True)
    made.finish(database, lease, plan)
    expect(page.locator(".head")).to_contain_text("succeeded")
    expect(page.get_by_role("heading", name="Answer")).to_be_visible()
    page.get_by_role("button", name="Delete").click()
    page.get_by_role("button", name="Keep").click()
    assert client.get(f"/v1/experiments/{asked['id']}").status_code == 200
    page.get_by_role("button", name="Delete").click()
    page.get_by_role("button", name="Delete it").click()
    expect(page.get_by_role("heading", name="Experiments")).to_be_visible()
    assert client.get(f"/v1/experiments/{asked['id']}").status_code == 404


def test_values_of_all_sizes_are_painted_as_the_report_paints_them(visitor: Visitor) -> None:
    page = visitor.open()
    values = np.random.default_rng(0).normal(0.0, 8.0, 500).astype(np.float32)
    painted = page.evaluate(
        """async text => {
            const {paint} = await import("/dashboard/colours.js");
            const values = Float32Array.from(JSON.parse(text));
            const pixels = new Uint32Array(values.length);
            paint(values, pixels, {diverging: true, limit: 12});
            return [...new Uint8Array(pixels.buffer)];
        }""",
        json.dumps(values.tolist()),
    )
    found = np.array(painted, dtype=float).reshape(1, 500, 4)[..., :3]
    assert np.abs(found - colours(values[np.newaxis].astype(float), 12.0)).max() <= 2


def test_what_was_never_there_is_blank_and_not_black(visitor: Visitor) -> None:
    page = visitor.open()
    painted = page.evaluate(
        """async () => {
            const {paint} = await import("/dashboard/colours.js");
            const pixels = new Uint32Array(4);
            paint([NaN], pixels.subarray(0, 1), {diverging: true, limit: 12});
            paint([NaN, Infinity, -Infinity], pixels.subarray(1), {diverging: true, limit: 12, blank: true});
            return [...new Uint8Array(pixels.buffer)];
        }"""
    )
    assert [painted[at : at + 4] for at in range(0, 16, 4)] == [
        [*NOT_FINITE, 255],
        [0, 0, 0, 0],
        [*NOT_FINITE, 255],
        [*SILENT, 255],
    ]


def test_colours_are_given_as_in_the_pictures_of_the_server(visitor: Visitor) -> None:
    page = visitor.open()
    names = [f"variant {at}" for at in range(20)] + ["baseline", "batch_norm", "Ω 𝛿", "<b>"]
    found = page.evaluate(
        """async names => {
            const {slots} = await import("/dashboard/colours.js");
            return [...slots(names)].map(([name, {slot, dash}]) => [name, slot, dash.join(" ")]);
        }""",
        names,
    )
    assert found == [[name, place.slot, place.dash] for name, place in places(names).items()]


def test_what_was_trained_elsewhere_is_shown_and_cannot_be_trained_again(visitor: Visitor, stored: Stored) -> None:
    client = stored.served.client
    run, token = ingest.opened(client, experiment="theirs", data="tags")
    signals, curves = ingest.quiet(60, -2.5, loss=2.0)
    ingest.put(client, run, 0, ingest.records(signals, curves, token, chance_level=2.0))
    ingest.end(client, run, ingest.ending(token, 60, chance_level=2.0))
    page = shown(visitor, {"id": run["experiment_id"]})
    page.get_by_text("What it is").click()
    expect(page.locator("details.setup")).to_contain_text("elsewhere, and watched or brought in as a log")
    expect(page.locator("details.setup")).to_contain_text("tags")
    expect(page.get_by_text("Again, changed")).to_have_count(0)
    expect(page.locator(".answer")).to_contain_text("vanish")


def test_no_word_of_a_picture_is_cut_off(visitor: Visitor, stored: Stored) -> None:
    beyond = """() => [...document.querySelectorAll("text")].filter(text => {
        const {x, width} = text.getBBox();
        return x < 0 || x + width > document.documentElement.viewBox.baseVal.width;
    }).map(text => text.textContent)"""
    for name in ("comparison", "outcomes", "profile", "heatmaps", "curves"):
        visitor.page.goto(f"{visitor.address}/v1/experiments/{stored.sick['id']}/{name}.svg")
        assert visitor.page.evaluate("document.querySelectorAll('text').length") > 0
        assert visitor.page.evaluate(beyond) == [], name


LINES = """async ([values, log]) => {
    const {Lines} = await import("/dashboard/lines.js");
    const series = values.map((its, at) => ({label: `${at}`, colour: "#000000", values: its}));
    const lines = new Lines({});
    document.getElementById("main").replaceChildren(lines.element);
    lines.show({title: "measured", xs: values[0].map((_, at) => at), series, log});
    while (!lines.plot) await new Promise(requestAnimationFrame);
    await new Promise(requestAnimationFrame);
    const drawn = lines.plot.series.slice(1).map(its => its.points.show);
    const heights = lines.plot.data[1].map(value => lines.plot.valToPos(value, "y") / lines.plot.bbox.height);
    return [lines.plot.axes[1]._values, drawn.map(its => typeof its === "function" ? its() : its), heights];
}"""


def test_an_axis_says_how_far_something_has_exploded_and_one_point_is_seen(visitor: Visitor) -> None:
    page = visitor.open("#/predict")
    expect(page.get_by_role("heading", level=1)).to_be_visible()
    labels, points, _ = page.evaluate(LINES, [[[0.1, 1e30, 1e20], [None, 2.0, None]], True])
    powers = [int(label.replace("\u2212", "-").split("e")[1]) for label in labels if "e" in label]
    assert (len(powers) >= 4, max(powers) > 20, powers == sorted(powers)) == (True, True, True)
    assert points == [False, True]


def test_what_has_vanished_is_no_flat_line(visitor: Visitor) -> None:
    page = visitor.open("#/predict")
    expect(page.get_by_role("heading", level=1)).to_be_visible()
    labels, _, (low, high, between) = page.evaluate(LINES, [[[1e-16, 4e-16, 2e-16]], False])
    assert low - high > 0.5  # of the height
    assert between == pytest.approx(low + (high - low) / 3)
    assert all(label.endswith("e\u221216") for label in labels if not label.startswith("0"))
    assert len(set(labels)) == len(labels) >= 3


def test_one_hidden_layer_has_no_profile(visitor: Visitor, stored: Stored) -> None:
    shallow = made.submit(stored.served.client, network={"kind": "mlp", "depth": 2, "width": 8}, seeds=[0], steps=STEPS)
    made.train_all(stored.database, shallow)
    page = visitor.open(f"#/experiment/{shallow['id']}")
    expect(page.locator(".surface")).to_have_count(1)
    expect(page.get_by_role("heading", name="Curves")).to_be_visible()
    expect(page.get_by_role("heading", name="Measured beside predicted")).to_have_count(0)
