"""How people look, move and are drawn; `characters.draw_clip` puts it together."""
