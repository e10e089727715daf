"""The built-in painter: a card of a companion and its scene, drawn without any image server.

A card is an SVG of our own that holds nothing but shapes, numbers and colours: people's words only choose
among them, or become outlines of letters, so there is nothing in them that could be markup. It needs no font
and no file: the same order gives the same bytes wherever the same libvips runs.
"""
