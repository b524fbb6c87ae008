"""What a sweep file may say."""
