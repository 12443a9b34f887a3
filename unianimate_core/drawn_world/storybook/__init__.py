"""The storybook cast: round characters with large heads, which small networks can learn.

An image of 128x192 pixels has 16x24 latents. There a limb is 12 to 18 pixels wide, a head about 50, an eye 9. Colors
are soft and outlines faint, because contrast that moves is what a small network gets wrong. The reference image shows
the character waiting. Bones, camera and shapes are those of `people`; `drawing.STORYBOOK` lists the steps in order.
"""
