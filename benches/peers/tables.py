"""Samples to Markdown."""

from statistics import median

BEGIN, END = "<!-- tables: begin -->", "<!-- tables: end -->"


def best_setting(row):
    """The peer's fastest setting, by median."""
    return max(row["peers"], key=lambda name: median(row["peers"][name]))


def ratios(ours, theirs):
    return [a / b for a, b in zip(ours, theirs)]


def spread(values):
    return f"**{median(values):.2f}** ({min(values):.2f}–{max(values):.2f})"


def line(row):
    setting = best_setting(row)
    theirs = row["peers"][setting]
    return (f"| {row['model']} | {row['test']} | {spread(ratios(row['ours'], theirs))} | {median(row['ours']):.1f} "
            f"| {median(theirs):.1f} | {setting} |")


def markdown(results):
    machine = results["machine"]
    parts = [
        f"Measured on {results['date']} at commit {results['commit']}, {machine['processor']} "
        f"(family {machine['family']}, model {machine['model']}; {', '.join(machine['instruction sets'])}), "
        f"{results['threads']} threads, {results['rounds']} rounds:\n\n```\n{results['command']}\n```",
    ]
    head = "| model | test | ratio (least–greatest) | Ascua t/s | llama.cpp t/s | its best setting |\n|---|---|---|---|---|---|"
    titles = {"speed": "Speed", "depth": "With a long context", "busy": "Beside other busy programs"}
    for key, title in titles.items():
        if results.get(key):
            parts.append(f"### {title}\n\n" + "\n".join([head, *map(line, results[key])]))
    if results.get("start"):
        rows = ["| model | file MB | seconds to one token: Ascua | llama.cpp | ratio | peak MB: Ascua | llama.cpp |",
                "|---|---|---|---|---|---|---|"]
        for row in results["start"]:
            seconds = [[run[0] for run in row[side]] for side in ("ours", "theirs")]
            peaks = [max(run[1] for run in row[side]) / 1e6 for side in ("ours", "theirs")]
            rows.append(f"| {row['model']} | {row['bytes'] / 1e6:.0f} | {median(seconds[0]):.2f} | {median(seconds[1]):.2f} "
                        f"| {spread(ratios(seconds[1], seconds[0]))} | {peaks[0]:.0f} | {peaks[1]:.0f} |")
        parts.append("### From the command to the first token\n\n" + "\n".join(rows))
    if results.get("perplexity"):
        rows = ["| model | chunks | Ascua | its F32 activations | llama.cpp | difference |", "|---|---|---|---|---|---|"]
        for row in results["perplexity"]:
            difference = (row["ours"] / row["theirs"] - 1) * 100
            rows.append(f"| {row['model']} | {row['chunks']} | {row['ours']:.4f} | {row['exact']:.4f} | {row['theirs']:.4f} "
                        f"| {difference:+.2f} % |")
        parts.append("### Perplexity\n\n" + "\n".join(rows))
    if results.get("transformers"):
        rows = ["| model | test | Transformers | Ascua | ratio (least–greatest) | Ascua t/s | Transformers t/s |",
                "|---|---|---|---|---|---|---|"]
        for row in results["transformers"]:
            rows.append(f"| {row['model']} | {row['test']} | {row['their type']} | {row['our type']} "
                        f"| {spread(ratios(row['ours'], row['theirs']))} | {median(row['ours']):.1f} | {median(row['theirs']):.1f} |")
        parts.append("### Beside Transformers\n\n" + "\n".join(rows))
    return "\n\n".join(parts) + "\n"


def has_place(path):
    """Whether the file is there and has both marks."""
    return path.is_file() and all(path.read_text().count(mark) == 1 for mark in (BEGIN, END))


def put(path, text):
    """Replaces what stands between the two marks of a file."""
    page = path.read_text()
    before, rest = page.split(BEGIN)
    _, after = rest.split(END)
    path.write_text(f"{before}{BEGIN}\n\n{text}\n{END}{after}")
