"""An update in words and numbers: everything that left the site, and nothing else did."""

from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from fedfin.protocol.payloads import Update
from fedfin.protocol.tensors import decode_tensor


def explain(update: Update) -> dict[str, Any]:
    """Round, task, metrics, and for each tensor its shape, type, bytes, weight and size of its values."""
    tensors = []
    for name, tensor in update.tensors.items():
        values = decode_tensor(name, tensor, tensor.shape)
        tensors.append(
            {
                "name": name,
                "shape": list(tensor.shape),
                "dtype": tensor.dtype,
                "bytes": len(tensor.data),
                "weight": tensor.weight,
                "rms": float(np.sqrt(np.mean(np.square(values, dtype=np.float64)))),
                "largest": float(np.abs(values).max()),
                "zeros": float(np.mean(values == 0)),
            }
        )
    return {
        "site": update.site,
        "round": update.round,
        "task": update.task,
        "base": update.base,
        "plan": update.plan,
        "metrics": update.metrics,
        "bytes": sum(t["bytes"] for t in tensors),
        "tensors": tensors,
    }


def print_explanation(facts: dict[str, Any]) -> None:
    """As a table on standard output."""
    console = Console()
    table = Table(
        title=f"update of {facts['site']}, round {facts['round']} ({facts['task']}),"
        f" from model version {facts['base']}: {facts['bytes'] / 1e3:,.1f} KB in tensors"
    )
    table.add_column("tensor", overflow="fold")
    for column in ("shape", "type", "bytes", "weight (cases)", "rms", "largest", "zeros"):
        table.add_column(column, justify="right")
    for tensor in facts["tensors"]:
        table.add_row(
            tensor["name"],
            "x".join(map(str, tensor["shape"])),
            tensor["dtype"],
            f"{tensor['bytes']:,}",
            str(tensor["weight"]),
            f"{tensor['rms']:.2e}",
            f"{tensor['largest']:.2e}",
            f"{tensor['zeros']:.0%}",
        )
    console.print(table)
    for name, value in facts["metrics"].items():
        console.print(f"metric {name}: {value:.6g}")
