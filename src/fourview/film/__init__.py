"""Digitised films: what on the scan is breast, and what is background, label, tape or edge."""

from fourview.film.breast import FilmBreast, blank_film, find_breast

__all__ = ["FilmBreast", "blank_film", "find_breast"]
