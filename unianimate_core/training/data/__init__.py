"""Data: from drawn people or videos to clips.

Read in this order: sources (what there is), prepare (encodes it once) and sequences (the files of that), dropping and
clips (what each step draws from them); workers are the processes that do it. Data may use settings and the drawn
world, and neither the network nor the loss.
"""
