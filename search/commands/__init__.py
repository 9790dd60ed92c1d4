"""Commands of `python -m search`, one file each. Without a command's name it searches."""

# Name to what it does. Each is a module here with `main(arguments) -> exit code`.
COMMANDS = {
    "status": "show the status of a search",
    "front": "show the front of a run as a table",
    "export": "write strategy files of a front, also during the search",
    "plot": "write plots for papers, as PNG and SVG",
    "report": "write report.html, a page for a browser about a run",
    "compare": "compare the fronts, hypervolumes and settings of several runs",
    "view": "serve a local page with a prompt and a slider along a front",
    "ablate": "score the named strategies of a run without each of their methods",
    "pick": "choose one strategy of a front and write its file",
}
