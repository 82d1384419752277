"""What takes long: schedules of faults for minutes or hours (faults.py), and thousands of streams
under an even load (load.py)."""
