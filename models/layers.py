"""The layers of each network in the order data flows through them: where freezing can start and stages can end."""

TEACHER_LAYERS = (
    "modality_fusion",
    "stem",
    "mixed_3b",
    "mixed_3c",
    "mixed_4b",
    "mixed_4c",
    "mixed_4d",
    "mixed_4e",
    "mixed_4f",
    "mixed_5b",
    "mixed_5c",
    "lstm",
    "classifier",
)

STUDENT_LAYERS = (
    "modality_projection",
    "shortcut",
    "stem",
    "block_1",
    "block_2",
    "block_3",
    "block_4",
    "block_5",
    "block_6",
    "block_7",
    "block_8",
    "block_9",
    "block_10",
    "block_11",
    "last",
    "lstm",
    "classifier",
)

# Gradual unfreezing thaws one group after the other, from the head towards the input.
TEACHER_GROUPS = (
    ("lstm", "classifier"),
    ("mixed_5b", "mixed_5c"),
    ("mixed_4b", "mixed_4c", "mixed_4d", "mixed_4e", "mixed_4f"),
    ("stem", "mixed_3b", "mixed_3c"),
    ("modality_fusion",),
)

STUDENT_GROUPS = (
    ("lstm", "classifier"),
    ("block_9", "block_10", "block_11", "last"),
    ("block_4", "block_5", "block_6", "block_7", "block_8"),
    ("shortcut", "stem", "block_1", "block_2", "block_3"),
    ("modality_projection",),
)
