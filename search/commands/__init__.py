"""Commands of `python -m search`, one file each. Without a command's name it searches."""

# Name to what it does. Each is a module here with `main(arguments) -> exit code`.
COMMANDS = {
    "status": "show the status of a search",
    "front": "show the table of its front",
    "export": "write strategy files of its front, also while it runs",
    "plot": "write plots for papers, as PNG and SVG",
    "report": "write the run as one page for a browser, report.html",
    "compare": "fronts and hypervolumes of several runs, and what differs in them",
    "view": "a local page with a prompt and a slider along its front",
    "ablate": "score its named strategies without each of their methods",
    "pick": "choose one strategy of its front and write its file",
}
