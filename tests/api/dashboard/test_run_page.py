"""One run in a real browser: any signal down to the single step, evidence in its picture, links that show the same."""

import itertools
import re

from playwright.sync_api import Page, expect

from tests.api.dashboard.conftest import SPIKE, SPIKE_STEP, Stored, Visitor, accessible, run_of


def opened(visitor: Visitor, run_id: str, search: str = "") -> Page:
    page = visitor.open(f"#/run/{run_id}{search}")
    expect(page.get_by_role("group", name="Heat map of")).to_be_visible()
    return page


def test_a_spike_among_thirty_thousand_steps_is_seen_and_zoomed_to_its_step(visitor: Visitor, stored: Stored) -> None:
    page = opened(visitor, run_of(stored, stored.long)["id"], "?signal=weight_norm&layer=hidden.1")
    expect(page.get_by_text("Zoom in for single steps")).to_be_visible()
    surface = page.get_by_role("group", name="Heat map of")
    columns = int(page.locator("figure.map canvas").get_attribute("width") or 0)
    assert columns <= 600
    surface.focus()
    page.keyboard.press("ArrowUp")
    output = page.locator("figure.map output")
    for _ in range(8):  # the map is asked for anew at each zoom, eight times as fine
        box = surface.bounding_box()
        assert box is not None
        first, last = _shown(page)
        at = (SPIKE_STEP - first + 0.5) / (last - first + 1)
        page.mouse.move(box["x"] + box["width"] * at, box["y"] + box["height"] * 0.6)
        expect(output).to_contain_text(f"{SPIKE:g}")
        if page.get_by_text("Every step that was recorded is shown").is_visible():
            break
        page.keyboard.press("Enter")
        expect(surface).not_to_have_attribute("aria-label", re.compile(rf"steps {first} to {last}$"))
        surface.focus()
    expect(output).to_have_text(f"hidden.1, step {SPIKE_STEP}: {SPIKE:g}")
    assert "from=" in page.url


def _shown(page: Page) -> tuple[int, int]:
    label = page.get_by_role("group", name="Heat map of").get_attribute("aria-label") or ""
    found = re.search(r"steps (\d+) to (\d+)", label)
    assert found is not None
    return int(found[1]), int(found[2])


def test_the_evidence_of_the_verdict_is_marked_where_it_comes_from(visitor: Visitor, stored: Stored) -> None:
    run = run_of(stored, stored.sick)
    page = opened(visitor, run["id"])
    expect(page.locator(".answer")).to_contain_text(run["verdict"]["sentence"].split(". ")[1])
    expect(page.get_by_role("region", name="Evidence").get_by_role("row")).to_have_count(
        1 + len(run["verdict"]["evidence"])
    )
    evidence = next(one for one in run["verdict"]["evidence"] if one["statistic"] == "total_gain" and one["steps"][0])
    at = run["verdict"]["evidence"].index(evidence)
    page.get_by_role("button", name="Show").nth(at).click()
    mark = page.locator(".evidence")
    expect(mark).to_be_visible()
    first, last = _shown(page)
    left, width = (float(mark.evaluate(f"one => parseFloat(one.style.{side})")) for side in ("left", "width"))
    columns = last - first + 1
    assert [round(first + left * columns / 100), round(width * columns / 100)] == [
        evidence["steps"][0],
        evidence["steps"][1] - evidence["steps"][0] + 1,
    ]
    link = page.url
    page.goto("about:blank")
    page.goto(link)
    expect(page.locator(".evidence")).to_be_visible()
    accessible(page)


def test_what_is_downloaded_is_what_the_api_has(visitor: Visitor, stored: Stored) -> None:
    run = run_of(stored, stored.sick)
    page = opened(visitor, run["id"])
    with page.expect_download() as downloading:
        page.get_by_role("button", name="Curves, CSV").click()
    direct = stored.served.client.get(f"/v1/runs/{run['id']}/curves", headers={"Accept": "text/csv"})
    assert downloading.value.suggested_filename == f"run-{run['id']}-curves.csv"
    assert downloading.value.path().read_bytes() == direct.content


def test_experiments_and_runs_are_compared_by_a_link(visitor: Visitor, stored: Stored) -> None:
    broken = run_of(stored, stored.broken)["id"]
    page = visitor.open(f"#/compare?experiments={stored.sick['id']}")
    expect(page.locator("figure.map")).to_have_count(4)
    page.get_by_label("Links or ids").fill(f"{visitor.address}/dashboard/#/run/{broken}")
    page.get_by_role("button", name="Add").click()
    expect(page.locator("figure.map")).to_have_count(5)
    expect(page.get_by_role("region", name="Runs").get_by_role("row")).to_have_count(2)
    page.get_by_label("Curve").select_option("learning_rate")
    page.get_by_label("Limit of the colour scale").fill("50")
    page.keyboard.press("Enter")
    link = page.url
    assert all(part in link for part in ("curve=learning_rate", "limit=50", broken, stored.sick["id"]))
    page.goto("about:blank")
    page.goto(link)
    expect(page.locator("figure.map")).to_have_count(5)
    expect(page.get_by_label("Curve")).to_have_value("learning_rate")
    expect(page.get_by_label("lock scale")).to_be_checked()
    accessible(page)
    page.get_by_role("button", name=re.compile("Remove baseline")).click()
    expect(page.locator("figure.map")).to_have_count(4)


def test_variants_of_one_name_have_one_colour_everywhere(visitor: Visitor, stored: Stored) -> None:
    page = visitor.open(f"#/experiment/{stored.sick['id']}")
    swatch = "figure.map .swatch"
    expect(page.locator(swatch)).to_have_count(4)
    read = "all => all.map(one => getComputedStyle(one).backgroundColor)"
    colours = page.locator(swatch).evaluate_all(read)
    assert len(set(colours)) == 4
    page = visitor.open(f"#/compare?experiments={stored.sick['id']},{stored.long['id']}")
    expect(page.locator(swatch)).to_have_count(5)
    assert page.locator(swatch).evaluate_all(read)[:4] == colours
    assert page.locator(swatch).evaluate_all(read)[4] == colours[0]


def test_lines_over_seeds_keep_every_extreme_of_runs_of_any_length(visitor: Visitor) -> None:
    page = visitor.open()
    found = page.evaluate(
        """async lengths => {
            const {commonSteps, overSeeds} = await import("/dashboard/traces.js");
            const runs = lengths.map(([records, size], seed) => {
                const value = at => Math.sin(12.9898 * (at + 97 * seed)) * (at % 7);
                const steps = [];
                for (let at = 0; at < records; at += size) steps.push([at, Math.min(at + size, records) - 1]);
                const of = pick => Float32Array.from(steps, ([first, last]) =>
                    pick(Array.from({length: last - first + 1}, (_, at) => value(first + at))));
                const mean = all => all.reduce((sum, one) => sum + one, 0) / all.length;
                const numbers = {"curves.loss.mean": of(mean), "curves.loss.min": of(all => Math.min(...all)),
                                 "curves.loss.max": of(all => Math.max(...all))};
                return {steps, numbers: Object.fromEntries(Object.entries(numbers).map(([name, values]) =>
                    [name, {values}]))};
            });
            const xs = commonSteps(runs);
            const {low, high} = overSeeds(runs, "loss", xs);
            const ends = part => runs.map(one => [...one.numbers[`curves.loss.${part}`].values]);
            return [xs, low, high, runs.map(one => one.steps), ends("min"), ends("max")];
        }""",
        [[1000, 9], [130, 1], [777, 4]],
    )
    xs, low, high, steps, lowest, highest = found
    for at, (first, end) in enumerate(itertools.pairwise([*xs, 10_000])):
        inside = [
            (lowest[run][bucket], highest[run][bucket])
            for run, buckets in enumerate(steps)
            for bucket, (begin, last) in enumerate(buckets)
            if last >= first and begin < end
        ]
        assert low[at] == min(least for least, _ in inside)
        assert high[at] == max(most for _, most in inside)
