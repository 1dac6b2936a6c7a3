"""The page in a real browser, from the disk: nothing is fetched, nothing goes wrong, a tree can be read by keys."""

import json
import shutil
from collections.abc import Iterator

import pytest

from rstar.store.trees import read_trees

webdriver = pytest.importorskip("selenium.webdriver", reason="needs selenium: pip install 'rstar[dev]'")
from selenium.webdriver.chrome.service import Service  # noqa: E402
from selenium.webdriver.common.by import By  # noqa: E402
from selenium.webdriver.common.keys import Keys  # noqa: E402
from selenium.webdriver.remote.webelement import WebElement  # noqa: E402
from selenium.webdriver.support.select import Select  # noqa: E402

CHROMIUM = next(
    (path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), None
)
DRIVER = shutil.which("chromedriver")
pytestmark = pytest.mark.skipif(
    not (CHROMIUM and DRIVER), reason="needs Chromium and its driver (Debian: chromium, chromium-driver)"
)
OPTIONS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync", "--window-size=1366,768"),
)


@pytest.fixture(scope="module")
def browser(tmp_path_factory) -> Iterator["webdriver.Chrome"]:
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for option in (*OPTIONS, f"--user-data-dir={tmp_path_factory.mktemp('profile')}"):
        options.add_argument(option)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(DRIVER))
    yield driver
    driver.quit()


@pytest.fixture
def page(browser, made):
    """The page, newly opened, with the trees of round 2's search of held-out problems."""
    browser.get(made.as_uri())
    stages = Select(browser.find_element(By.ID, "stage"))
    stages.select_by_visible_text("Round 2: held-out problems")
    return browser


def items(page) -> list[WebElement]:
    """The nodes of the tree that can be seen, from top to bottom."""
    return page.find_elements(By.CSS_SELECTOR, '#tree [role="treeitem"]')


def press(page, *keys: str) -> None:
    for key in keys:
        page.switch_to.active_element.send_keys(key)


def text(page, id: str) -> str:
    return page.find_element(By.ID, id).text


def test_nothing_is_fetched_and_nothing_is_reported(page, made):
    page.get_log("performance")  # what the browser asked for itself before
    page.refresh()
    page.find_element(By.ID, "unfold").click()
    asked = [
        json.loads(entry["message"])["message"]["params"]["request"]["url"]
        for entry in page.get_log("performance")
        if '"Network.requestWillBeSent"' in entry["message"]
    ]
    assert made.as_uri() in asked  # the log has what it is meant to have
    assert [url for url in asked if url != made.as_uri() and not url.startswith("data:")] == []
    assert page.get_log("browser") == []
    assert page.execute_script("return performance.getEntriesByType('resource').length") == 0


def test_a_tree_is_unfolded_and_read_by_keys(page, run):
    name = text(page, "problems").splitlines()[0].partition(" ")[0]
    (tree,) = [one for one in read_trees(run / "round-2" / "eval" / "search" / "trees") if one.problem.id == name]
    page.find_element(By.ID, "foldup").click()
    assert len(items(page)) == 1 + len(tree.nodes[0].children)
    page.find_element(By.CSS_SELECTOR, "#tree .fold").click()
    assert len(items(page)) == 1
    assert items(page)[0].get_attribute("aria-expanded") == "false"
    press(page, Keys.ARROW_RIGHT)
    assert len(items(page)) == 1 + len(tree.nodes[0].children)
    press(page, "*")
    assert len(items(page)) == len(tree.nodes)

    # The last node is read; then up to its parent.
    press(page, Keys.END)
    shown = page.switch_to.active_element
    assert shown.get_attribute("aria-selected") == "true"
    node = tree.nodes[int(shown.get_attribute("data-id"))]
    assert int(shown.get_attribute("aria-level")) == node.depth + 1
    said = text(page, "node")
    assert f"Step {node.depth}" in said
    code = page.find_element(By.CSS_SELECTOR, "#node pre").text
    assert code in node.text
    assert code
    assert page.find_element(By.CSS_SELECTOR, ".nums b").text == str(node.visits)
    press(page, Keys.ARROW_LEFT)
    assert int(page.switch_to.active_element.get_attribute("data-id")) == node.parent


def test_nodes_are_coloured_by_q_or_by_the_ppm(page):
    tones = "return [...document.querySelectorAll('#tree .row')].map(row => row.style.getPropertyValue('--tone'))"
    page.find_element(By.ID, "unfold").click()
    by_q = page.execute_script(tones)
    assert all("Q" in row.text for row in items(page)[:1])
    page.find_element(By.ID, "by-ppm").click()
    assert page.find_element(By.ID, "by-ppm").get_attribute("aria-pressed") == "true"
    by_ppm = page.execute_script(tones)
    assert len(by_ppm) == len(by_q)
    assert by_ppm != by_q
    assert any("PPM" in row.text for row in items(page))

    # Nobody scores the bootstrap's trees.
    Select(page.find_element(By.ID, "stage")).select_by_visible_text("Round 1: training problems")
    assert not page.find_element(By.ID, "by-ppm").is_enabled()


def test_ends_of_one_kind_are_picked_out(page):
    page.find_element(By.ID, "unfold").click()
    (chip, *_) = page.find_elements(By.CSS_SELECTOR, '#reasons [data-reason="answered"]')
    count = int(chip.text.rpartition(" ")[2])
    chip.click()
    leaves = [one for one in items(page) if one.get_attribute("aria-expanded") is None]
    assert len(leaves) == count
    for leaf in leaves:
        leaf.find_element(By.CLASS_NAME, "row").click()
        assert "answered" in text(page, "node")
    page.find_element(By.CSS_SELECTOR, '#reasons [data-reason="answered"]').click()
    assert len(items(page)) >= len(leaves)


def test_problems_are_found_and_the_selected_trajectory_is_marked(page, run):
    Select(page.find_element(By.ID, "stage")).select_by_visible_text("Round 1: training problems")
    page.find_element(By.ID, "find").send_keys("w7")
    (found,) = page.find_elements(By.CSS_SELECTOR, "#problems li")
    assert "w7" in found.text
    page.find_element(By.ID, "find").clear()
    page.find_element(By.ID, "find").send_keys("w")
    Select(page.find_element(By.ID, "difficulty")).select_by_visible_text("medium")
    assert {row.text.split()[4] for row in page.find_elements(By.CSS_SELECTOR, "#problems li")} == {"medium"}
    assert page.find_elements(By.CSS_SELECTOR, "#tree .mark.s")
    assert page.find_elements(By.CSS_SELECTOR, "#tree .mark.c")
    assert "selected for the policy's training data" in text(page, "node")


def test_light_and_dark(page):
    ground = "return getComputedStyle(document.body).backgroundColor"
    before = page.execute_script(ground)
    page.find_element(By.ID, "theme").click()
    assert page.execute_script(ground) != before


def test_it_fits_on_a_laptop(page):
    wide = "return document.documentElement.scrollWidth <= document.documentElement.clientWidth"
    assert page.execute_script(wide)
    high = page.find_element(By.CLASS_NAME, "explorer").size["height"]
    assert high <= page.execute_script("return innerHeight")
