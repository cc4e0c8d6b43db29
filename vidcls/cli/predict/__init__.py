"""`vidcls predict`: predicts the classes of videos, of windows of long videos, and of live frames."""

from vidcls.cli.predict.command import predict

__all__ = ["predict"]
