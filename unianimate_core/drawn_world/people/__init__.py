"""How people look, move and are painted; `drawing.PEOPLE` lists the steps in order."""
