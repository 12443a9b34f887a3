"""How people look, move and are painted. `characters.draw_clip` calls these modules in order."""
