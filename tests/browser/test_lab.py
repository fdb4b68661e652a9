"""The notebook's first minutes in a real JupyterLab."""


def test_the_first_session(notebook):
    page = notebook(["%load_ext nbflow", "%%task words\n['never', 'stale']", "%flow"])
    page.run(0)
    assert "✓ words · fresh" in page.run(1).inner_text()
    picture = page.run(2)
    assert picture.locator("svg text", has_text="words").count() == 1
    assert picture.locator("svg .nf-fresh").count() == 1
