"""A detector without torch: each member as an ONNX graph, a description in JSON and a short runner."""

from auscult.export.writing import ExportedMember, export_detector

__all__ = ["ExportedMember", "export_detector"]
