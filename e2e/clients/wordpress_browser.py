"""A visitor of a WordPress site in a real browser: Chromium, driven by chromedriver.

wordpress_browser.py SITE FOLDER install|upload|look [URL]: prints one line of JSON. FOLDER contains
the browser's profile, so that a login persists between calls.
"""

import json
import os
import struct
import sys
import time
import zlib
from urllib.parse import urlsplit

from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

USER, PASSWORD = "editor", "correct horse battery staple"
WAIT_S = 120
SIDE = 640


def picture(file):
    """Writes a PNG larger than a thumbnail."""
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    rows = b"".join(b"\0" + bytes((x ^ y) & 255 for x in range(SIDE) for _ in range(3)) for y in range(SIDE))
    head = struct.pack(">IIBBBBB", SIDE, SIDE, 8, 2, 0, 0, 0)
    with open(file, "wb") as out:
        out.write(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b""))


def browser(site, folder):
    options = webdriver.ChromeOptions()
    host = urlsplit(site).hostname
    for flag in ["--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu", "--no-proxy-server",
                 "--disable-background-networking", f"--user-data-dir={folder}/profile",
                 # Pictures and fonts of other hosts fail immediately.
                 f"--host-resolver-rules=MAP {host} 127.0.0.1, MAP * ~NOTFOUND"]:
        options.add_argument(flag)
    options.binary_location = "/usr/bin/chromium"
    driver = webdriver.Chrome(options, Service("/usr/bin/chromedriver"))
    driver.set_page_load_timeout(WAIT_S)
    return driver


def fill(driver, field, text):
    element = driver.find_element(By.ID, field)
    element.clear()
    element.send_keys(text)


def until(driver, what, look):
    """Waits until `look` succeeds; on timeout the error contains the page's text."""
    try:
        return WebDriverWait(driver, WAIT_S).until(look)
    except Exception as error:
        text = driver.find_element(By.TAG_NAME, "body").text[:1000]
        raise SystemExit(f"waited for {what} at {driver.current_url}, which says: {text}") from error


def install(driver, site):
    """Completes the installer's form, to which the first visit is redirected."""
    driver.get(site)
    until(driver, "the installer", lambda d: "install.php" in d.current_url)
    for button in driver.find_elements(By.ID, "language-continue"):
        button.click()
    until(driver, "the form", lambda d: d.find_elements(By.ID, "weblog_title"))
    fill(driver, "weblog_title", "A site on Sampan")
    fill(driver, "user_login", USER)
    # The page's script first fills in a proposed password.
    until(driver, "the proposed password", lambda d: d.find_element(By.ID, "pass1").get_attribute("value"))
    fill(driver, "pass1", PASSWORD)
    fill(driver, "admin_email", "editor@blog.example.com")
    driver.find_element(By.ID, "submit").click()
    until(driver, "the end of the installation", lambda d: "Success!" in d.page_source)
    return {"installed": True}


def login(driver, site):
    driver.get(f"{site}/wp-login.php")
    # The page's script takes the focus a moment after its load.
    time.sleep(0.5)
    fill(driver, "user_login", USER)
    fill(driver, "user_pass", PASSWORD)
    # Makes the cookie persistent.
    driver.find_element(By.ID, "rememberme").click()
    driver.find_element(By.ID, "wp-submit").click()
    until(driver, "the dashboard", lambda d: d.find_elements(By.ID, "wpadminbar"))


def upload(driver, site, folder):
    """Logs in and uploads a picture on the media page; returns its URL."""
    login(driver, site)
    file = os.path.join(folder, "picture.png")
    picture(file)
    driver.get(f"{site}/wp-admin/media-new.php")
    chooser = until(driver, "the uploader", lambda d: d.find_elements(By.CSS_SELECTOR, ".moxie-shim input[type=file]"))
    chooser[0].send_keys(file)
    link = until(driver, "the uploaded picture",
                 lambda d: d.find_elements(By.CSS_SELECTOR, ".media-item .copy-attachment-url"))
    return {"url": link[0].get_attribute("data-clipboard-text")}


def look(driver, site, url):
    """Returns whether a page that needs a login opens, and the width of the picture in it."""
    driver.get(f"{site}/wp-admin/upload.php?mode=list")
    logged_in = bool(driver.find_elements(By.ID, "wpadminbar"))
    driver.get(url)
    width = driver.execute_script("return document.images.length ? document.images[0].naturalWidth : 0")
    return {"logged_in": logged_in, "width": width}


def main():
    site, folder, step, *more = sys.argv[1:]
    driver = browser(site, folder)
    try:
        if step == "install":
            done = install(driver, site)
        elif step == "upload":
            done = upload(driver, site, folder)
        else:
            done = look(driver, site, more[0])
        print(json.dumps(done))
    finally:
        driver.quit()


if __name__ == "__main__":
    main()
