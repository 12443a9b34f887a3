"""People drawn by a program: what UniAnimate-mini is trained and tested on."""
