"""What auscult is measured by: quality on real sounds, speed."""
