"""List and process hundreds of thousands of YouTube videos on a fleet of workers, and never one of them twice."""
