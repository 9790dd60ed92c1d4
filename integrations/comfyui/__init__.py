"""Stratagem in ComfyUI: a node that applies a strategy file to a loaded model.

Copy this folder into ComfyUI's `custom_nodes`, under any name.
"""

from .node import ApplyStrategy

NODE_CLASS_MAPPINGS = {"StratagemApplyStrategy": ApplyStrategy}
NODE_DISPLAY_NAME_MAPPINGS = {"StratagemApplyStrategy": "Apply Stratagem strategy"}

__all__ = ["NODE_CLASS_MAPPINGS", "NODE_DISPLAY_NAME_MAPPINGS"]
