"""``python -m proofs.speed.views``: the dashboard in a real Chromium, with 12,500 experiments stored.

A real uvicorn process on loopback. Each view is opened in a context of its own, so with an empty cache. Nothing is
trained: runs are written by the code that workers use.
"""

import argparse
import shutil
import sys
import uuid
from collections.abc import Mapping
from typing import Any

from playwright.sync_api import Browser, Page, sync_playwright

from api.dashboard.assets import assets
from proofs.clinic import clinic, scratch
from proofs.speed import made, report
from proofs.speed.reads import REMEDIES, submit_many, train

WIDE = {"network": {"kind": "mlp", "depth": 101, "width": 8}, "steps": 200}
"""100 hidden layers."""
COMPARED = {**WIDE, "remedies": REMEDIES, "seeds": {"count": 25}}
"""(7 remedies + the baseline) × 25 seeds = 200 runs."""
LAYERS, COLUMNS = 100, 2_000

# Before any script of the page: what the browser itself says of long tasks.
WATCH = """
window.longTasks = [];
new PerformanceObserver(list => window.longTasks.push(...list.getEntries().map(one => one.duration)))
    .observe({type: "longtask", buffered: true});
"""
SIZES = """
() => performance.getEntriesByType("resource").concat(performance.getEntriesByType("navigation"))
    .reduce((sum, one) => sum + one.transferSize, 0)
"""
REPAINT = """
async ([rows, columns, times]) => {
    const {HeatMap} = await import("/dashboard/heatmap.js");
    const values = Float32Array.from({length: rows * columns}, (_, at) => 20 * Math.sin(at / 997));
    const steps = Array.from({length: columns}, (_, at) => [at, at]);
    const names = Array.from({length: rows}, (_, at) => `hidden.${at}`);
    const grid = {values, rows, columns, names, steps, broken: true, read: () => ""};
    const map = new HeatMap(() => null);
    document.body.append(map.show({title: "measured", name: "measured", grid, scale: {diverging: true, limit: 12}}));
    const taken = [];
    for (let time = 0; time < times; time += 1) {
        await new Promise(requestAnimationFrame);
        const began = performance.now();
        map.repaint({diverging: true, limit: 12 + time});
        taken.push(performance.now() - began);
    }
    return taken;
}
"""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--experiments", type=int, default=12_500)
    parser.add_argument("--views", type=int, default=10, help="of each page")
    options = parser.parse_args()
    program = shutil.which("chromium")
    if program is None:
        print("no Chromium on PATH: apt-get install chromium", file=sys.stderr)
        return 1
    with scratch() as on:
        compared, run_ids = made.submit(on.database, made.spec(**COMPARED))
        for run_id in run_ids:
            train(on.database, run_id)
        submit_many(on.database, options.experiments - 1)
        with clinic(on, "api") as running, sync_playwright() as playwright:
            # Chromium refuses its sandbox to root, whom a container often is; every page here is our own.
            browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
            figures = measured(browser, f"{running.address}/dashboard/", compared, options.views)
            browser.close()
    report.save("views", {"compared": COMPARED, **vars(options)}, figures)
    print(figures)
    return 0


def measured(browser: Browser, address: str, compared: uuid.UUID, views: int) -> dict[str, Any]:
    pages = {
        "list": ("", "table.list tbody tr"),
        "experiment": (f"#/experiment/{compared}", "section.answer p.first"),
        "experiment, all drawn": (f"#/experiment/{compared}", ".lines canvas"),
    }
    seen = {
        name: [opened(browser, address + hash_, shown) for _ in range(views)] for name, (hash_, shown) in pages.items()
    }
    with browser.new_context() as context:
        page = context.new_page()
        page.goto(address)
        repaints = page.evaluate(REPAINT, [LAYERS, COLUMNS, 30])
    scripts = sum(len(asset.packed) for name, asset in assets().items() if name.endswith(".js"))
    told = {name: summary(each) for name, each in seen.items()}
    return {"views": told, "repaint_ms": report.spread(repaints), "script_kb": round(scripts / 1000, 1)}


def opened(browser: Browser, address: str, shown: str) -> dict[str, float]:
    """Milliseconds from asking to what is looked for, kilobytes until then, and the longest task."""
    with browser.new_context(viewport={"width": 1280, "height": 900}) as context:
        page = context.new_page()
        page.add_init_script(WATCH)
        page.goto(address, wait_until="commit")
        page.locator(shown).first.wait_for()
        # By the page's own clock, which begins with the navigation: making a context is in no figure.
        at = page.evaluate("performance.now()")
        return {"ms": at, "kb": page.evaluate(SIZES) / 1000, "long": longest(page)}


def longest(page: Page) -> float:
    tasks: list[float] = page.evaluate("window.longTasks")
    return max(tasks, default=0.0)


def summary(each: list[dict[str, float]]) -> Mapping[str, Any]:
    return {name: report.spread([one[name] for one in each]) for name in ("ms", "kb", "long")}


if __name__ == "__main__":
    sys.exit(main())
