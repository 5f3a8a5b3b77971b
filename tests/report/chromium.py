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
WALK = """
const walk = (root) => {
  const seen = [];
  const down = (node, depth) => {
    for (const child of node.children) {
      const names = child.getAttributeNames().sort().join(' ');
      seen.push(`${depth} ${child.namespaceURI.slice(-4)} ${child.localName} ${names}`);
      down(child.localName === 'template' ? child.content : child, depth + 1);
    }
  };
  down(root, 0);
  return seen;
};
"""
PARSE = """
return arguments[0].map(page => walk(new DOMParser().parseFromString(page, 'text/html')));
"""
FRAMES = """
const [pages, done] = arguments;
Promise.all(pages.map(page => new Promise(loaded => {
  const frame = document.createElement('iframe');
  frame.style.display = 'none';
  frame.srcdoc = page;
  frame.onload = () => { loaded(walk(frame.contentDocument)); };
  document.body.append(frame);
}))).then(trees => { document.body.replaceChildren(); done(trees); });
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
        """Show a file by itself, and read what it did: requests, dialogs and complaints."""
        self._forget()
        self.driver.get(path.as_uri())
        asked, dialogs = self._events()
        own = path.as_uri()
        assert own in asked, "the log of requests works"
        complaints = [e["message"] for e in self.driver.get_log("browser")]
        return [url for url in asked if url.partition("#")[0] != own], dialogs, complaints

    def frames(self, pages):
        """Load pages as documents of their own, side by side and unseen, which is much faster.

        Returns their trees and, of all together, requests and dialogs.
        """
        self._forget()
        trees = self.driver.execute_async_script(WALK + FRAMES, pages)
        return trees, *self._events()

    def parse(self, pages):
        """Parse pages without loading them, which is faster still. Returns their trees."""
        return self.driver.execute_script(WALK + PARSE, pages)

    def _forget(self):
        self.driver.get_log("performance")
        self.driver.get_log("browser")

    def _events(self):
        events = [json.loads(e["message"])["message"] for e in self.driver.get_log("performance")]
        asked = [
            e["params"]["request"]["url"]
            for e in events
            if e["method"] == "Network.requestWillBeSent"
        ]
        dialogs = [e for e in events if e["method"] == "Page.javascriptDialogOpening"]
        inside = ("data:", "about:")
        return [url for url in asked if not url.startswith(inside)], dialogs

    def tree(self):
        """Every element of the page with the names of its attributes, in order."""
        return self.driver.execute_script(WALK + "return walk(document)")

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
