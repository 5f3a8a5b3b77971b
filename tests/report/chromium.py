"""A real browser without a window, and what it did while it showed a page."""

import json
import shutil
from contextlib import contextmanager

import pytest

ARGUMENTS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
)
TREE = """
const seen = [];
const walk = (node, depth) => {
  for (const child of node.children) {
    seen.push(depth + ' ' + child.namespaceURI.slice(-4) + ' ' + child.localName + ' ' + child.getAttributeNames().sort().join(' '));
    walk(child, depth + 1);
  }
};
walk(document, 0);
return seen;
"""


def why_not():
    """Why there is no browser, or nothing."""
    if shutil.which("chromium") is None or shutil.which("chromedriver") is None:
        return "chromium and chromedriver are not installed"
    try:
        import selenium  # noqa: F401
    except ImportError:
        return "selenium is not installed"
    return ""


@contextmanager
def browser(profile):
    """A browser with a profile of its own, that keeps a log of everything it did."""
    if reason := why_not():
        pytest.skip(reason)
    from selenium.webdriver import Chrome, ChromeOptions
    from selenium.webdriver.chrome.service import Service

    options = ChromeOptions()
    options.binary_location = shutil.which("chromium")
    for argument in (*ARGUMENTS, f"--user-data-dir={profile}"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"performance": "ALL", "browser": "ALL"})
    # A dialog is something to count, not to answer.
    options.unhandled_prompt_behavior = "dismiss"
    driver = Chrome(options, Service(shutil.which("chromedriver")))
    try:
        driver.get("about:blank")  # leaves the page that a new window opens with
        yield Browser(driver)
    finally:
        driver.quit()


class Browser:
    """Opens files and says what came of it."""

    def __init__(self, driver):
        self.driver = driver

    def open(self, path):
        """Show a file, and read what it did: requests (the file itself left out) and dialogs."""
        self.driver.get_log("performance")
        self.driver.get_log("browser")
        self.driver.get(path.as_uri())
        self.driver.execute_script("return document.readyState")
        events = [json.loads(e["message"])["message"] for e in self.driver.get_log("performance")]
        asked = [
            e["params"]["request"]["url"]
            for e in events
            if e["method"] == "Network.requestWillBeSent"
        ]
        dialogs = [e for e in events if e["method"] == "Page.javascriptDialogOpening"]
        own = path.as_uri()
        requests = [u for u in asked if u.partition("#")[0] != own and not u.startswith("data:")]
        assert own in asked, "the log of requests works"
        complaints = [e["message"] for e in self.driver.get_log("browser")]
        return requests, dialogs, complaints

    def tree(self):
        """Every element with the names of its attributes, in order."""
        return self.driver.execute_script(TREE)

    def media(self, *, width, height=900, scheme="light", media=""):
        """Set the size of the window and what the page is told about its reader."""
        self.driver.execute_cdp_cmd(
            "Emulation.setDeviceMetricsOverride",
            {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600},
        )
        self.driver.execute_cdp_cmd(
            "Emulation.setEmulatedMedia",
            {"media": media, "features": [{"name": "prefers-color-scheme", "value": scheme}]},
        )

    def screenshot(self):
        """The whole page as PNG."""
        import base64

        shot = self.driver.execute_cdp_cmd(
            "Page.captureScreenshot", {"format": "png", "captureBeyondViewport": True}
        )
        return base64.b64decode(shot["data"])

    def pdf(self):
        """The page as it is printed."""
        import base64

        return base64.b64decode(
            self.driver.execute_cdp_cmd("Page.printToPDF", {"printBackground": False})["data"]
        )
