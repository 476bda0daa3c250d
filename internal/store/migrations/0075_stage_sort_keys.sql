-- +goose Up

-- Local stages that a rule created had no sort key. Lists showed them first, and no search found
-- them.
UPDATE stages SET sort_key = name_key WHERE sort_key = '' AND name_key IS NOT NULL;
