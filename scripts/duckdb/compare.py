"""Runs pairs of queries, one for Rewindow and one for DuckDB, over the same events, and compares their rows.

What is mapped, and where the two languages differ on purpose:
- windows are (start, end] (rule 4.2): the end of the window of t is ceil(t / size) * size, counted from
  0001-01-01 (A-ALIGN), so instants are microseconds from there;
- DATEDIFF in ON counts boundaries (rule 8.2), which is what DuckDB's datediff does;
- an unmatched left row has NULLs (rule 8.4); LAG sees at most its duration, left edge exclusive (A-LIMIT-EDGE);
- SUM and AVG are exact here and rounded at every step there: floats are compared to 9 digits.
Rows are compared as multisets: their order among equal timestamps is our own choice (C-ORDER).
"""

import json
import math
import pathlib
import random
import subprocess
import sys
import tempfile
from datetime import datetime, timedelta

import duckdb

EXAMPLES = pathlib.Path("examples")

# The end of the window of a time, in microseconds: `wend(t, size)`; and the ends of all hopping windows it is in.
MACROS = """
CREATE MACRO us(t) AS epoch_us(t::TIMESTAMP) + 62135596800000000;
CREATE MACRO wend(t, size) AS CAST(ceil(us(t)::DECIMAL(38, 0) / size) AS BIGINT) * size;
CREATE MACRO fits(t, size, hop) AS [e FOR e IN range(((us(t) + hop - 1) // hop) * hop, us(t) + size, hop)];
"""


def pairs(k, t, v, size, hop):
    """Queries over one stream `a` with key k, time t, value v."""
    aggregates = f"COUNT(*) AS n, COUNT({v}) AS c, SUM({v}) AS s, AVG({v}) AS m, MIN({v}) AS lo, MAX({v}) AS hi"
    spread = f"STDEV({v}) AS sd, VARP({v}) AS vp, COUNT(DISTINCT {k}) AS d"
    there = spread.replace("STDEV(", "stddev_samp(").replace("VARP(", "var_pop(")
    yield (
        "tumbling",
        f"SELECT {k} AS k, {aggregates}, {spread}, System.Timestamp() AS e FROM a TIMESTAMP BY {t} "
        f"GROUP BY {k}, TumblingWindow(second, {size})",
        f"SELECT {k} AS k, {aggregates}, {there}, wend({t}, {size * 1000000}) AS e FROM a GROUP BY ALL",
    )
    yield (
        "hopping",
        f"SELECT {k} AS k, {aggregates}, System.Timestamp() AS e FROM a TIMESTAMP BY {t} "
        f"GROUP BY {k}, HoppingWindow(second, {size}, {hop})",
        f"SELECT {k} AS k, {aggregates}, e FROM (SELECT *, unnest(fits({t}, {size * 1000000}, {hop * 1000000})) AS e "
        f"FROM a) GROUP BY ALL",
    )
    yield (
        "having, where",
        f"SELECT {k} AS k, COUNT(*) AS n FROM a TIMESTAMP BY {t} WHERE {v} > 2 AND {k} IS NOT NULL "
        f"GROUP BY {k}, TumblingWindow(second, {size}) HAVING COUNT(*) > 1",
        f"SELECT {k} AS k, COUNT(*) AS n FROM a WHERE {v} > 2 AND {k} IS NOT NULL "
        f"GROUP BY {k}, wend({t}, {size * 1000000}) HAVING COUNT(*) > 1",
    )
    # Several events of one time follow each other in the order of the file in both.
    yield (
        "lag",
        f"SELECT {k} AS k, {v} AS v, LAG({v}) OVER (PARTITION BY {k} LIMIT DURATION(second, {size})) AS p "
        f"FROM a TIMESTAMP BY {t}",
        f"SELECT k, v, CASE WHEN own - b < {size * 1000000} THEN p END AS p FROM (SELECT {k} AS k, {v} AS v, us({t}) AS own, "
        f"lag({v}) OVER w AS p, lag(us({t})) OVER w AS b FROM a WINDOW w AS (PARTITION BY {k} ORDER BY us({t}), line))",
    )


def join_pairs(on, left, right, unit, least, most):
    """Queries over streams a and b."""
    for kind in ["JOIN", "LEFT JOIN"]:
        yield (
            f"{kind.lower()} {least}..{most} {unit}",
            f"SELECT {left[1]} AS l, {right[1]} AS r FROM a TIMESTAMP BY {left[0]} {kind} b TIMESTAMP BY {right[0]} "
            f"ON {on} AND DATEDIFF({unit}, a, b) BETWEEN {least} AND {most}",
            f"SELECT {left[1]} AS l, {right[1]} AS r FROM a {kind} b ON {on} AND "
            f"datediff('{unit}', a.{left[0]}::TIMESTAMP, b.{right[0]}::TIMESTAMP) BETWEEN {least} AND {most}",
        )


TABLE = (
    "reference data",
    "SELECT a.k, a.v, r.name FROM a TIMESTAMP BY t LEFT JOIN r ON a.k = r.k",
    "SELECT a.k, a.v, r.name FROM a LEFT JOIN r ON a.k = r.k",
)


def rewindow(command, query, folder, files, tables):
    path = pathlib.Path(folder) / "query.asaql"
    path.write_text(query)
    arguments = [command, "run", str(path)]
    for option, named in [("--input", files), ("--reference", tables)]:
        for name, file in named.items():
            if f"FROM {name} " in query or f"JOIN {name} " in query:
                arguments += [option, f"{name}={file}"]
    done = subprocess.run(arguments, capture_output=True, text=True, timeout=300)
    if done.returncode != 0:
        raise SystemExit(f"rewindow refuses the query:\n{query}\n{done.stderr}")
    if "dropped" in done.stderr:
        raise SystemExit(f"rewindow drops events that DuckDB reads:\n{done.stderr}")
    return [json.loads(line) for line in done.stdout.splitlines()]


def there(sql, files, tables):
    base = duckdb.connect()
    base.execute("SET TimeZone = 'UTC'")
    base.execute(MACROS)
    for name, file in {**files, **tables}.items():
        # Times stay text, as here; `line` is the order of the file.
        base.execute(f"CREATE TABLE {name} AS SELECT *, row_number() OVER () AS line FROM "
                     f"read_json('{file}', format = 'newline_delimited', sample_size = -1, "
                     f"convert_strings_to_integers = false, timestampformat = 'never', dateformat = 'never')")
    cursor = base.execute(sql)
    names = [column[0] for column in cursor.description]
    return [dict(zip(names, row)) for row in cursor.fetchall()]


def plain(value):
    """A value that is equal on both sides where the rows are."""
    if isinstance(value, str) and len(value) == 28 and value[10] == "T" and value.endswith("Z"):
        since = datetime.fromisoformat(value[:26]) - datetime(1, 1, 1)
        value = since // timedelta(microseconds=1)
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        if isinstance(value, int) and value > 10**15:
            return value  # An instant: every digit counts.
        number = float(value)
        # A spread of equal floats is 0 here and may be next to 0 there.
        return 0.0 if abs(number) < 1e-9 else float(f"{number:.9g}") if math.isfinite(number) else str(number)
    return value


def key(row):
    return json.dumps({name: plain(value) for name, value in sorted(row.items())}, default=str)


def compare(command, name, ours, theirs, folder, files, tables=None):
    tables = tables or {}
    here, other = (sorted(map(key, rows)) for rows in
                   [rewindow(command, ours, folder, files, tables), there(theirs, files, tables)])
    if here != other:
        only = lambda rows, others: [row for row in rows if row not in set(others)][:5]
        print(f"DIFFERENT: {name}\n  Rewindow: {ours}\n  DuckDB:   {theirs}\n  files: {files}")
        print(f"  {len(here)} rows here, {len(other)} there")
        print("  only here:  " + "\n              ".join(only(here, other)))
        print("  only there: " + "\n              ".join(only(other, here)))
        raise SystemExit(1)
    return len(here)


def random_file(dice, path, events):
    """Events of a few keys, at few enough times that borders and ties are met; some values are missing."""
    lines = []
    for _ in range(events):
        second = dice.choice([dice.randrange(0, 600), dice.randrange(0, 60) * 10])
        fraction = dice.choice([0, 0, 0, 1, 500, 999])
        event = {"k": dice.choice(["x", "y", "z", None]),
                 "t": f"2024-01-01T00:{second // 60:02}:{second % 60:02}.{fraction:03}Z",
                 "v": dice.choice([None, dice.randrange(-5, 6), dice.randrange(-5, 6), dice.randrange(-40, 40) / 8])}
        lines.append(json.dumps(event))
    path.write_text("\n".join(lines) + "\n")


def main():
    command, rounds, seed = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    total, queries = 0, 0
    with tempfile.TemporaryDirectory() as folder:
        def check(name, ours, theirs, files, tables=None):
            nonlocal total, queries
            total += compare(command, name, ours, theirs, folder, files, tables)
            queries += 1

        quakes = EXAMPLES / "earthquakes/earthquakes.jsonl"
        departures, landings = (EXAMPLES / f"flights-landed/{n}.jsonl" for n in ["departures", "landings"])
        for pair in pairs("net", "time", "mag", 3600, 900):
            check(f"earthquakes, {pair[0]}", pair[1], pair[2], {"a": quakes})
        for pair in pairs("carrier", "departed", "dep_delay", 21600, 3600):
            check(f"flights, {pair[0]}", pair[1], pair[2], {"a": departures})
        on = "a.carrier = b.carrier AND a.flight = b.flight AND a.tailnum = b.tailnum"
        for pair in join_pairs(on, ("departed", "a.departed"), ("landed", "b.landed"), "hour", 0, 8):
            check(f"flights, {pair[0]}", pair[1], pair[2], {"a": departures, "b": landings})
        example = f"earthquakes and flights: {queries} queries, {total} rows alike"
        print(example)
        dice = random.Random(seed)
        table = pathlib.Path(folder) / "r.jsonl"
        table.write_text('{"k":"x","name":"first"}\n{"k":"x","name":"second"}\n{"k":"y","name":null}\n')
        for round_ in range(rounds):
            files = {name: pathlib.Path(folder) / f"{name}.jsonl" for name in "ab"}
            for path in files.values():
                random_file(dice, path, dice.choice([1, 5, 40, 200]))
            size, hop = dice.choice([(60, 60), (60, 20), (10, 3), (7, 10), (90, 60)])
            for pair in [*pairs("k", "t", "v", size, hop), TABLE]:
                check(f"random {round_}, {pair[0]}", pair[1], pair[2], {"a": files["a"]}, {"r": table})
            least, most = sorted(dice.choices(range(-3, 4), k=2))
            unit = dice.choice(["second", "minute"])
            for pair in join_pairs("a.k = b.k", ("t", "a.v"), ("t", "b.v"), unit, least, most):
                check(f"random {round_}, {pair[0]}", pair[1], pair[2], files)
    print(f"random, seed {seed}: {rounds} rounds; in all {queries} queries, {total} rows alike")


main()
