"""Drawn people that move, with the exact pose of every frame: the data of UniAnimate-mini's training and tests.

Nothing is loaded or downloaded: a seed decides a character, a motion and a background. Read `characters.py` first:
`draw_clip` draws one clip and names every step. `world.py` defines what can occur (`WorldSettings`) and how the
training, validation and test splits stay disjoint. A setting chooses one of two casts (`cast.py` says what a cast
brings): `people/` is the whole world, and `storybook/` has round characters that small networks can learn.
"""
