"""What a drawn picture is made of: the camera, the place, the people and their clothes."""
