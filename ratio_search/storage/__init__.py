"""Where a study is kept: in a folder, with its trials in a database there or on a server; or in memory."""

from ratio_search.storage.database import DATABASE_ERRORS, STORAGE_ERRORS, reason, reference_name
from ratio_search.storage.folder import StudyFolder, find, studies
from ratio_search.storage.home import StudyHome
from ratio_search.storage.memory import StudyMemory

__all__ = [
    "DATABASE_ERRORS",
    "STORAGE_ERRORS",
    "StudyFolder",
    "StudyHome",
    "StudyMemory",
    "find",
    "reason",
    "reference_name",
    "studies",
]
