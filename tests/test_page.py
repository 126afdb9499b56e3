"""The page of a report, opened in headless Chromium: it draws, it answers, and it needs no network."""

import json
import shutil

import pytest
from PIL import Image
from selenium import webdriver
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import Select, WebDriverWait

from benchmarks.page import page
from codec import program
from tests.footage import make_footage, write_y4m
from tests.pictures import make_picture

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
DRIVER = shutil.which("chromedriver")

OURS = ["tcodec-main", "tcodec-main-psnr", "tcodec-baseline", "tcodec-baseline-psnr"]
LEARNED = ["tcodec-tokens", "tcodec-tokens-psnr", "tcodec-baseline-effort2", "tcodec-baseline-psnr-effort2"]
CODECS = [*OURS, *LEARNED, "jpeg-progressive"]
MINUS = "\N{MINUS SIGN}"

pytestmark = pytest.mark.skipif(
    not (CHROMIUM and DRIVER), reason="needs Chromium and its driver: apt-get install chromium chromium-driver"
)


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    inputs, report = tmp_path_factory.mktemp("inputs"), tmp_path_factory.mktemp("report")
    for seed, name in enumerate(["</script>", "two"]):  # the path of the first would end the element with the data
        folder = inputs / name
        folder.mkdir(parents=True)
        Image.fromarray(make_picture(64, 96, seed=seed)).save(folder / "picture.png")
    write_y4m(inputs / "wave.y4m", make_footage(32, 48, 4))
    arguments = ["rd", str(inputs), "--against", "jpeg-progressive,mpeg4", "-o", str(report), "-j", "2", "--quiet"]
    assert program.main(arguments) == 0
    return report


@pytest.fixture(scope="module")
def browser():
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    # No name is resolved: whatever the page might ask of the network fails, and is logged.
    for argument in (
        "--headless=new",
        "--no-sandbox",
        "--window-size=1300,1000",
        "--host-resolver-rules=MAP * ~NOTFOUND",
    ):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(DRIVER))
    yield driver
    driver.quit()


@pytest.fixture
def opened(browser, report):
    browser.get(f"file://{report / 'index.html'}")
    WebDriverWait(browser, 20).until(lambda driver: driver.find_elements(By.CSS_SELECTOR, "#curves .scatterlayer path"))
    yield browser
    assert browser.get_log("browser") == []  # nothing on the console


def cells(browser, table):
    """Return the texts of a table's rows."""
    rows = browser.find_elements(By.CSS_SELECTOR, f"#{table} tbody tr")
    return [[cell.text for cell in row.find_elements(By.TAG_NAME, "td")] for row in rows]


def choose(browser, what, text):
    Select(browser.find_element(By.ID, what)).select_by_visible_text(text)


def test_curves_are_drawn_with_a_line_and_six_points_for_each_codec(opened):
    names = [each.text for each in opened.find_elements(By.CSS_SELECTOR, "#curves .legendtext")]
    assert names == CODECS
    traces = opened.find_elements(By.CSS_SELECTOR, "#curves .scatterlayer .trace")
    assert [len(trace.find_elements(By.CSS_SELECTOR, ".point")) for trace in traces] == [6] * len(CODECS)
    for trace in traces:
        line = trace.find_element(By.CSS_SELECTOR, ".js-line")
        assert "L" in line.get_attribute("d")
        assert line.size["width"] > 300


def test_hovering_over_a_point_shows_its_figures(opened, report):
    points = opened.find_elements(By.CSS_SELECTOR, "#curves .scatterlayer .trace:first-child .point")
    ActionChains(opened).move_to_element(points[0]).perform()
    shown = WebDriverWait(opened, 10).until(
        lambda driver: driver.find_element(By.CSS_SELECTOR, ".hoverlayer .hovertext")
    )
    own = json.loads((report / "results.json").read_text())["results"][CODECS[0]]
    assert CODECS[0] in shown.text
    assert f"quality {own['quality'][0]}" in shown.text
    assert f"{round(own['bytes'][0])} bytes" in shown.text
    assert "psnr-rgb" in shown.text


def test_nothing_is_asked_of_the_network(opened):
    events = [json.loads(entry["message"])["message"] for entry in opened.get_log("performance")]
    asked = [e["params"]["request"]["url"] for e in events if e["method"] == "Network.requestWillBeSent"]
    assert all(url.startswith(("file:", "data:", "blob:")) for url in asked)
    assert opened.execute_script("return performance.getEntriesByType('resource').length") == 0


def test_the_matrix_and_the_points_follow_the_choice(opened, report):
    results = json.loads((report / "results.json").read_text())
    rates = results["bd_rates"]["pictures"]
    name = next(each["name"] for each in results["sources"] if "</script>" in each["name"])

    def shows(matrix):
        texts = [row[1:] for row in cells(opened, "matrix")]
        return all(
            text == "" if i == j else abs(float(text.replace(MINUS, "-")) - matrix[i][j]) < 0.0501
            for i, row in enumerate(texts)
            for j, text in enumerate(row)
        )

    assert shows(rates["psnr-rgb"]["mean"])
    choose(opened, "source", name)
    choose(opened, "measure", "ms-ssim")
    assert shows(rates["ms-ssim"]["sources"][name])
    assert not shows(rates["psnr-rgb"]["sources"][name])
    own = [row for row in results["rows"] if row["source"] == name]
    assert [row[2] for row in cells(opened, "points")] == [f"{row['bytes']:,}" for row in own]
    choose(opened, "source", "wave")
    assert [row[0] for row in cells(opened, "matrix")] == ["tcodec", "mpeg4"]
    assert Select(opened.find_element(By.ID, "measure")).first_selected_option.text == "ms-ssim"


def test_pictures_are_side_by_side_at_equal_rates(opened, report):
    name = json.loads((report / "results.json").read_text())["sources"][1]["name"]
    choose(opened, "source", name)
    figures = opened.find_elements(By.CSS_SELECTOR, "#crops figure")
    captions = [figure.text for figure in figures]
    assert [caption.split(":")[0] for caption in captions] == ["original", *CODECS]
    rates = [float(caption.split(": ")[1].split()[0]) for caption in captions[1:]]
    assert max(rates) < 1.06 * min(rates)
    for figure in figures:
        image = figure.find_element(By.TAG_NAME, "img")
        assert opened.execute_script("return arguments[0].naturalWidth", image) == 96
    original = figures[0].find_element(By.TAG_NAME, "img").get_attribute("src")
    image = figures[1].find_element(By.TAG_NAME, "img")
    assert image.get_attribute("src") != original
    ActionChains(opened).move_to_element(image).perform()
    assert image.get_attribute("src") == original


def test_origin_and_remarks_are_told(opened, report):
    results = json.loads((report / "results.json").read_text())
    assert opened.find_element(By.ID, "command").text == results["command"]
    versions = dict(cells(opened, "versions"))
    assert versions["numpy"] == results["environment"]["numpy"]
    assert "libjpeg" in versions["jpeg-progressive"]
    assert "2 pictures and 1 clip," in opened.find_element(By.ID, "summary").text


def test_everything_is_in_one_file(report):
    text = (report / "index.html").read_text()
    assert '<link rel="icon" href="data:,">' in text
    assert "src=" not in text.split("<script", 1)[0]
    document = json.loads((report / "results.json").read_text())
    small = page(document, [], {}, "a < b")
    assert "<title>a &lt; b</title>" in small
