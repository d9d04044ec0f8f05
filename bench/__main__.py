"""`make bench`: every race, one after another; results/races.json keeps the last figures of each."""

from bench import recurrent, sampling, vision, where

vision.main()
where.main()
recurrent.main()
sampling.main()
