"""Commands of `python -m search`, one file each. Without a command's name it searches."""

# Name to what it does. Each is a module here with `main(arguments) -> exit code`.
COMMANDS = {
    "status": "where a search stands",
    "front": "the table of its front, also as CSV or JSON",
    "export": "write strategy files of its front, also while it runs",
    "plot": "pictures for papers, as PNG and SVG",
    "report": "write the run as one page for a browser, report.html",
    "ablate": "score its named strategies without each of their methods",
    "pick": "choose one strategy of its front and write its file",
}
