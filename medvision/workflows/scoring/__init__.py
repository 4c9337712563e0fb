"""How well the answers for labelled cases are."""
